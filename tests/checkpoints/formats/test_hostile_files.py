"""Hostile files: nothing runs, grows or hangs, and each is an InputError with a reason."""

import io
import json
import pickle
import random
import resource
import struct
import tarfile
import time
from pathlib import Path

import make_torch_zip as make
import numpy as np
import pytest
from make_torch_zip import Member, View, group, name, number, text

from dynamics.checkpoints.formats import LocalBytes, open_tensors
from dynamics.errors import InputError

TENSORS = {
    "embed.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "norm.bias": np.arange(5, dtype=np.float16),
    "mask": np.eye(3, dtype=bool),
}
MATRIX = View("0", "float32", 12, 0, (3, 4), (4, 1))
STORE = {"0": np.arange(12, dtype=np.float32).tobytes()}


@pytest.fixture
def refused(tmp_path):
    """The file's bytes -> the message of the InputError that opening them raises, within 2 s."""

    def opened(content: bytes, *parts: str, name: str = "x.bin") -> str:
        begun = time.process_time()
        with pytest.raises(InputError) as caught:
            open_tensors(LocalBytes(make.write(tmp_path / name, content)))
        assert time.process_time() - begun < 2
        message = str(caught.value)
        assert all(part in message for part in (name, *parts)), message
        assert len(message) < 1500
        return message

    return opened


def of_program(pickled: bytes) -> bytes:
    return make.archive(make.members(pickled, STORE))


def of_views(**views: View) -> bytes:
    return of_program(make.program({key: make.tensor(view) for key, view in views.items()}))


class Evil:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def evil_programs(victim: Path) -> dict[str, bytes]:
    """Pickles that would make the file `victim` if they were run."""
    shell, python = f"touch {victim}", f"__import__('pathlib').Path({str(victim)!r}).touch()"
    call = {
        "system": name("os", "system") + group(text(shell)) + pickle.REDUCE,
        "posix": name("posix", "system") + group(text(shell)) + pickle.REDUCE,
        "eval": name("builtins", "eval") + group(text(python)) + pickle.REDUCE,
        "old eval": name("__builtin__", "eval") + group(text(python)) + pickle.REDUCE,
        "getattr": name("builtins", "getattr")
        + group(name("os", ""), text("system"))
        + pickle.REDUCE,
        "runpy": name("torch.serialization", "os.system") + group(text(shell)) + pickle.REDUCE,
        "inst": pickle.MARK + text(shell) + pickle.INST + b"os\nsystem\n",
        "obj": pickle.MARK + name("os", "system") + text(shell) + pickle.OBJ,
        "newobj": name("subprocess", "Popen") + group(text(shell)) + pickle.NEWOBJ,
        "extension": pickle.EXT1 + b"\1",
        "stack": text("os")
        + text("system")
        + pickle.STACK_GLOBAL
        + group(text(shell))
        + pickle.REDUCE,
    }
    hidden = {
        "nested": make.tensor(MATRIX, call["eval"]),
        "in a storage": group(text("storage"), call["eval"], text("0"), text("cpu"), number(12))
        + pickle.BINPERSID,
        "in a dict": name("collections", "OrderedDict") + group(call["eval"]) + pickle.REDUCE,
        "in a state": make.ORDERED_DICT + call["eval"] + pickle.BUILD,
        "real": pickle.dumps(Evil(eval, python), 2)[2:-1],
        "real nested": pickle.dumps({"a": [Evil(exec, python)]}, 4)[2:-1],
    }
    return {case: make.program({"a": value}) for case, value in {**call, **hidden}.items()}


EVIL = list(evil_programs(Path("x")))


@pytest.mark.parametrize("case", EVIL)
def test_no_code_runs(tmp_path, refused, case):
    victim = tmp_path / "ran"
    refused(of_program(evil_programs(victim)[case]))
    assert not victim.exists()


def test_the_evil_would_work(tmp_path):
    # So that the test above is no test of harmless files.
    pickle.loads(evil_programs(tmp_path / "ran")["eval"])
    assert (tmp_path / "ran").exists()


def test_an_unknown_name_is_named(refused):
    refused(
        of_program(make.program({"a": name("numpy", "load")})),
        "'numpy load'",
        "torch.save(model.state_dict()",
    )
    refused(of_program(b"\x80\x02c__main__\nModel\n."), "'__main__ Model'")
    refused(of_program(make.program({"a": pickle.PERSID + b"x\n"})), "the pickle operation PERSID")


U64 = struct.Struct("<Q").pack
U32 = struct.Struct("<I").pack
PROGRAMS = {
    "memo index": (
        b"\x80\x02}" + pickle.LONG_BINPUT + U32(2**32 - 1) + b".",
        "the memo index 4294967295",
    ),
    "no such memo": (b"\x80\x02" + pickle.BINGET + b"\7.", "asks for what is not there"),
    "long string": (
        b"\x80\x02" + pickle.BINUNICODE + U32(2**32 - 1) + b"abc",
        "BINUNICODE is damaged",
    ),
    "longer string": (
        b"\x80\x04" + pickle.BINUNICODE8 + U64(2**63) + b"abc",
        "BINUNICODE8 is damaged",
    ),
    "no UTF-8": (b"\x80\x02" + pickle.BINUNICODE + U32(1) + b"\xff.", "BINUNICODE is damaged"),
    "long number": (
        b"\x80\x02" + pickle.LONG4 + U32(2**31 - 1) + b"\1" * 99,
        "the pickle operation LONG4",
    ),
    "text number": (
        b"\x80\x02" + pickle.LONG + b"9" * 100_000 + b"L\n.",
        "the pickle operation LONG",
    ),
    "deep tuples": (b"\x80\x02)" + pickle.TUPLE1 * 180_000 + b".", "a pickled tuple"),
    "endless tuples": (b"\x80\x02)" + pickle.TUPLE1 * 300_000 + b".", "more than 200000 steps"),
    "deep marks": (b"\x80\x02" + pickle.MARK * 1_000_000 + b".", "stacks more than"),
    "deep lists": (b"\x80\x02" + pickle.EMPTY_LIST * 1_000_000 + b".", "stacks more than"),
    "doubling": (b"\x80\x02)" + b"\x94h\0\x86" * 10_000 + b".", "a pickled tuple"),
    "holds itself": (b"\x80\x02}q\0" + text("a") + b"h\0s.", "the entry 'a', a nested dict"),
    "key that is itself": (b"\x80\x02}q\0h\0h\0s.", "a key that is no string"),
    "key twice": (
        make.program({"a": make.tensor(MATRIX)})[:-1] + text("a") + b"Ns.",
        "there twice",
    ),
    "empty": (b"", "its end"),
    "no stop": (b"\x80\x02}", "its end"),
    "nothing": (b"\x80\x02.", "ends with 0 values"),
    "two values": (b"\x80\x02}}.", "ends with 2 values"),
    "a mark": (b"\x80\x02(.", "a pickled _Mark"),
    "mark for a value": (b"\x80\x02}(s.", "a mark stands where a value should"),
    "no mark": (b"\x80\x02}u.", "asks for what is not there"),
    "odd items": (b"\x80\x02}(Nu.", "items are set on what is no dict"),
    "items on a list": (b"\x80\x02](NNu.", "items are set on what is no dict"),
    "list of a dict": (b"\x80\x02}Na.", "appended to what is no list"),
    "call of a dict": (b"\x80\x02})R.", "calls what cannot be called"),
    "call of a storage": (
        b"\x80\x02" + name("torch", "FloatStorage") + b")R.",
        "calls what cannot be called",
    ),
    "storage of nothing": (b"\x80\x02NQ.", "a storage is not described"),
    "state of a list": (b"\x80\x02]}b.", "BUILD on what is no state dict"),
    "escapes in a name": (b"\x80\x02c\\q\\x41\nb\n.", "asks for '\\\\q\\\\x41 b'"),
    "name without an end": (b"\x80\x02cos", "GLOBAL is damaged"),
    "unknown code": (b"\x80\x02\xff.", "the pickle operation b'\\xff'"),
    "nested": (make.program({"model": make.ORDERED_DICT}), "the entry 'model', a nested dict"),
    "number": (make.program({"epoch": number(3)}), "the entry 'epoch', a int"),
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_programs_that_are_no_state_dict(refused, case):
    pickled, message = PROGRAMS[case]
    refused(of_program(pickled), message)


VIEWS = {
    "negative stride": (
        MATRIX._replace(stride=(-4, 1), offset=8),
        "a negative offset, shape or stride",
    ),
    "negative offset": (MATRIX._replace(offset=-1), "a negative offset, shape or stride"),
    "negative shape": (MATRIX._replace(shape=(-3, 4)), "a negative offset, shape or stride"),
    "expanded": (MATRIX._replace(shape=(2**40,), stride=(0,)), "one element in several places"),
    "expanded row": (
        MATRIX._replace(shape=(2**30, 4), stride=(0, 1)),
        "one element in several places",
    ),
    "window": (MATRIX._replace(shape=(5, 8), stride=(1, 1)), "one element in several places"),
    "huge": (MATRIX._replace(shape=(2**31, 2**31), stride=(0, 0)), "a shape that no tensor has"),
    "huge and empty": (
        MATRIX._replace(shape=(0, 2**60), stride=(0, 0)),
        "a shape that no tensor has",
    ),
    "past the end": (MATRIX._replace(offset=1), "out of its storage"),
    "far stride": (MATRIX._replace(stride=(2**60, 1)), "out of its storage"),
    "stride too long": (MATRIX._replace(stride=(2**63, 1)), "not described as torch does"),
    "another rank": (MATRIX._replace(stride=(1,)), "not described as torch does"),
    "too many dims": (
        MATRIX._replace(shape=(1,) * 65, stride=(1,) * 65),
        "not described as torch does",
    ),
    "storage too small": (MATRIX._replace(numel=13), "in a storage of 48 bytes"),
    "storage as another dtype": (MATRIX._replace(kind="float64"), "in a storage of 48 bytes"),
    "no storage": (MATRIX._replace(key="1"), "in a storage that is not there"),
    "storage elsewhere": (MATRIX._replace(key="../data.pkl"), "in a storage that is not there"),
}


@pytest.mark.parametrize("case", VIEWS)
def test_views_that_no_state_dict_has(refused, case):
    view, message = VIEWS[case]
    refused(of_views(a=view), message)


def test_tensors_that_share_a_part(refused):
    first, second = (MATRIX._replace(shape=(2, 4), offset=offset) for offset in (0, 4))
    refused(of_views(a=first, b=second), "'a' and 'b' share a part", "t.clone()")
    refused(
        of_views(a=MATRIX, b=MATRIX._replace(kind="int32")),
        "'b' reads its storage as another dtype",
    )


GOOD = make.members(make.program({"a": make.tensor(MATRIX)}), STORE)


def with_member(where: str, **changes) -> bytes:
    return make.archive([(w, m._replace(**changes) if w == where else m) for w, m in GOOD])


ARCHIVES = {
    "compressed": (with_member("data/0", method=8, size=2**31), "compressed"),
    "encrypted": (with_member("data/0", flags=0x0809), "encrypted"),
    "twice": (make.archive([*GOOD, ("data/0", Member(STORE["0"]))]), "each once"),
    "parent": (make.archive([*GOOD, ("../x", Member(b""))]), "none that torch writes"),
    "absolute": (make.archive(GOOD, "/etc/"), "none that torch writes"),
    "backslash": (make.archive([*GOOD, ("a\\b", Member(b""))]), "none that torch writes"),
    "nul": (make.archive([*GOOD, ("a\0b", Member(b""))]), "none that torch writes"),
    "folder": (make.archive([*GOOD, ("a/", Member(b""))]), "none that torch writes"),
    "no top": (make.archive([*GOOD, ("data.pkl", Member(b""))], ""), "none that torch writes"),
    "two tops": (
        make.archive([(("a/" if k else "b/") + w, m) for k, (w, m) in enumerate(GOOD)], ""),
        "one folder",
    ),
    "overlap": (with_member("data/0", start=0), "overlaps what follows it"),
    "outside": (with_member("version", size=2**31), "overlaps what follows it"),
    "beyond": (with_member("version", start=2**31), "overlaps what follows it"),
    "large pickle": (with_member("data.pkl", size=2**30), "overlaps what follows it"),
    "another header": (
        with_member("data.pkl", local_path=b"archive/data/0 x"),
        "contradicts the directory",
    ),
    "no name": (with_member("data.pkl", local_path=b""), "contradicts the directory"),
    "big endian": (with_member("byteorder", data=b"big"), "byteorder is not little"),
    "no pickle": (make.archive(GOOD[1:]), "without data.pkl"),
    "comment": (make.archive(GOOD) + b"more", "is not there"),
    "nothing": (make.archive([]), "a whole file as torch.save writes it"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives_that_torch_would_not_write(refused, case):
    content, message = ARCHIVES[case]
    refused(content, message)


def test_a_header_that_lies_about_a_tensor(tmp_path):
    content = with_member("data/0", local_path=b"archive/data/1")
    file = open_tensors(LocalBytes(make.write(tmp_path / "x.bin", content)))
    with pytest.raises(InputError, match="contradicts the directory"):
        file.read("a")


def test_cut_anywhere(refused):
    content = make.state_dict(TENSORS)
    for length in np.linspace(0, len(content) - 1, 60).astype(int):
        refused(content[:length])


def test_torch_files_of_older_ages(refused):
    refused(
        pickle.dumps(0x1950A86A20F9469CFC6C, 2) + b"\x80\x02M\xe9\x03.",
        "before 1.6",
        "save_pretrained",
    )
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as file:
        file.addfile(tarfile.TarInfo("storages"))
    refused(tar.getvalue(), "tar archive", "save_pretrained")


def mutated(draw: random.Random, content: bytes, other: bytes) -> bytes:
    """A few flips, insertions, removals, cuts and splices."""
    damaged = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 5])):
        at = draw.randrange(len(damaged) + 1)
        match draw.randrange(6):
            case 0 if at < len(damaged):
                damaged[at] ^= 1 << draw.randrange(8)
            case 1 if at < len(damaged):
                damaged[at] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])
            case 2:
                damaged[at:at] = draw.randbytes(draw.choice([1, 4, 30]))
            case 3:
                del damaged[at : at + draw.choice([1, 2, 8, 60])]
            case 4:
                damaged = damaged[:at] if draw.random() < 0.3 else damaged
            case 5:
                start = draw.randrange(len(other))
                damaged[at : at + draw.choice([0, 4, 40])] = other[
                    start : start + draw.choice([1, 8, 40, 200])
                ]
    return bytes(damaged)


def safetensors_bytes(header: bytes) -> bytes:
    return (
        len(header).to_bytes(8, "little")
        + header
        + b"".join(array.tobytes() for array in TENSORS.values())
    )


def safetensors_header() -> bytes:
    header, at = {}, 0
    for key, array in TENSORS.items():
        kind = {"float32": "F32", "float16": "F16", "bool": "BOOL"}[str(array.dtype)]
        header[key] = {"dtype": kind, "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    return json.dumps(header).encode()


def fuzzed(seed: int, seconds: float, path: Path) -> dict[str, int]:
    """How many damaged files were read and how many refused; any other outcome is an error here."""
    draw, outcomes, end = random.Random(seed), {"read": 0, "refused": 0}, time.monotonic() + seconds
    views = {f"t{k}": View("0", "float32", 12, k, (2, 1), (4, 1)) for k in range(2)}
    pickled = make.program(
        {**{key: make.tensor(view) for key, view in views.items()}, "m": make.tensor(MATRIX)}
    )
    single = make.program({"a": make.tensor(MATRIX)})
    bins = [make.state_dict(TENSORS), make.state_dict(TENSORS, zip64=True), of_program(single)]
    header = safetensors_header()
    kinds = [
        lambda: mutated(draw, draw.choice(bins), draw.choice(bins)),
        lambda: of_program(mutated(draw, single, pickled)),
        lambda: mutated(draw, safetensors_bytes(header), bins[0]),
        lambda: safetensors_bytes(mutated(draw, header, header)),
    ]
    while time.monotonic() < end:
        content = draw.choice(kinds)()
        outcomes[outcome(make.write(path, content))] += 1
    return outcomes


def outcome(path: Path) -> str:
    begun = time.process_time()
    try:
        file = open_tensors(LocalBytes(path))
        for key in file.names():
            array = file.read(key)
            assert array.nbytes <= path.stat().st_size
            assert (array.shape, array.dtype) == (file.shape(key), file.dtype(key))
            array.tobytes()
    except InputError:
        return "refused"
    finally:
        assert time.process_time() - begun < 2
    return "read"


def check_fuzz(seed: int, seconds: float, folder: Path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = fuzzed(seed, seconds, folder / "x.bin")
    assert outcomes["read"] > 20
    assert outcomes["refused"] > 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_random_damage(tmp_path):
    check_fuzz(0, 3, tmp_path)


@pytest.mark.long
def test_random_damage_for_a_while(tmp_path):
    check_fuzz(1, 20, tmp_path)

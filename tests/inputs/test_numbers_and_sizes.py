"""Numbers and sizes from outside: every one has a range, every text a limit, and both say so."""

import gzip
import os
import resource

import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import inputs, results, suite
from dynamics.checkpoints import config_json
from dynamics.data import corpus, minimal_pairs
from dynamics.data import tokenizer as tokenizers
from dynamics.errors import InputError
from experiments import common, convergence, demo, endings, llc_sweeps, masked

assert all((convergence, demo, llc_sweeps, masked))  # imported for the flags that they define

GRID = 'models = ["a"]\nseeds = [0]\nsteps = [0]\nfolder = "{model}"\n'
ODD_NUMBERS = ("9" * 5000, "1e400", "inf", "-1", "nan", "², ", "0x10", "1_0", "True", "")
NUMBER_FLAGS = (
    *("context", "windows", "cache_gb", "chains", "draws", "burn_in", "thinning", "llc_batch"),
    *("chain_batch", "llc_windows", "llc_seeds", "step_size", "nbeta", "localization", "bins"),
    *("hessian_windows", "hessian_probes", "lanczos_steps", "eigenvalues", "density_probes"),
    *("hessian_at_once", "curvature_seeds", "reading_windows", "reading_top", "icl_windows"),
    *("byte_windows", "byte_length", "blimp_per_task", "mask_positions", "calibrate_at"),
    *("sweep_at", "seeds", "icl_positions", "step_sizes", "nbetas", "localizations"),
    *("data_sizes", "batch_sizes"),
)


def sentence(call) -> str:
    """The one sentence that refuses an input."""
    with pytest.raises((InputError, flags.Error)) as refused:
        call()
    cause = refused.value.__context__
    error = cause if isinstance(cause, InputError) else refused.value
    assert isinstance(error, InputError)
    words = str(error)
    assert "\n" not in words
    assert len(words) < 600
    assert "expected" in words
    return words


@pytest.mark.parametrize("flag", NUMBER_FLAGS)
def test_numbers_of_flags_have_ranges(flag):
    lists = ("seeds", "icl_positions", "step_sizes", "nbetas", "localizations")
    lists += ("data_sizes", "batch_sizes")
    with flagsaver.flagsaver():
        for text in (*ODD_NUMBERS, "1" + "0" * 60):
            if text == "" and flag in lists:
                continue  # an empty list
            words = sentence(lambda text=text: flags.FLAGS(["test", f"--{flag}={text}"]))
            assert words.startswith(f"got --{flag}=")


def test_every_number_is_read_by_the_one_parser():
    by_module = flags.FLAGS.flags_by_module_dict()
    for module, defined in by_module.items():
        if module.startswith("experiments"):
            odd = [flag.name for flag in defined if flag.flag_type() in ("int", "float")]
            bounded = [
                name
                for name in odd
                if type(flags.FLAGS[name].parser).__module__ == "experiments.number_flags"
            ]
            assert odd == bounded, module


@pytest.mark.parametrize(
    "words",
    [
        *("linear:" + "9" * 5000, "linear:1000000000000", "linear:1", "linear:0", "9" * 5000),
        *("1" + "0" * 400, str(1 << 53), "linear:²", "²", "linear:-2", "1e3", "linear:1e3"),
    ],
    ids=range(12),
)
def test_numbers_of_schedules_have_ranges(words):
    sentence(lambda: suite.choose([words], range(100)))


@pytest.mark.parametrize(
    "part", ["9" * 5000 + "/1", "0/" + "9" * 5000, "²/3", "-1/2", "1/0", "/"], ids=range(6)
)
def test_numbers_of_shards_have_ranges(part):
    sentence(lambda: results.shard([], part))


@pytest.mark.parametrize(
    "grid",
    [
        GRID.replace("[0]", "[1e400]", 1),
        GRID.replace("[0]", "[inf]", 1),
        GRID.replace("[0]", "[1" + "0" * 400 + "]", 1),
        GRID.replace("[0]", "[" + "9" * 5000 + "]", 1),
        GRID.replace("[0]", "[-1]", 1),
        GRID.replace("[0]", "[true]", 1),
        GRID.replace("[0]", "[[0]]", 1),
        GRID.replace("[0]", str(list(range(2000)))).replace("{model}", "{seed}{step}"),
        "x = " + "[" * 10_000,
        "#" * (1 << 24) + "\n" + GRID,
    ],
    ids=range(10),
)
def test_numbers_and_sizes_of_a_suite_have_ranges(tmp_path, grid):
    path = tmp_path / "mine.toml"
    path.write_text(grid)
    sentence(lambda: suite.read(path))


READERS = {
    "corpus": corpus.read,
    "pairs": minimal_pairs.read,
    "suite": suite.read,
    "text": lambda path: inputs.read_text(path, 1 << 20),
    "config": lambda path: config_json.parse(inputs.read_bytes(path, 1 << 20), "config.json"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["zero", "null", "fifo", "missing", "bomb", "deep", "socket"])
def test_sizes_of_texts_have_limits(tmp_path, monkeypatch, reader, kind):
    monkeypatch.setattr(corpus, "_MOST_BYTES", 1 << 20)
    monkeypatch.setattr(minimal_pairs, "_MOST_BYTES", 1 << 20)
    path = tmp_path / "some.jsonl"
    if kind in ("zero", "null"):
        path = f"/dev/{kind}"
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "bomb":
        path = tmp_path / "some.jsonl.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            for _ in range(300):
                file.write(bytes(1 << 20))
    elif kind == "deep":
        path.write_text("[" * 200_000)
    elif kind == "socket":
        path = "/proc/self/ns/net"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if (reader, kind) == ("text", "deep"):
        pytest.skip("deep JSON is text like any other")
    sentence(lambda: READERS[reader](path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 100_000, b"\xff\xfe{\x00}\x00", b'{"model": ' + b"9" * 5000 + b"}"],
)
def test_a_tokenizer_that_no_parser_takes(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    sentence(lambda: tokenizers.load(tmp_path))


@pytest.mark.parametrize(
    "error", [MemoryError(), MemoryError("Unable to allocate 7.45 GiB"), InputError("3 seeds")]
)
def test_no_memory_is_one_line(capsys, error):
    def body():
        raise error

    with pytest.raises(SystemExit) as ended:
        endings.run(body)
    assert ended.value.code == 1
    words = capsys.readouterr().err
    assert words.startswith("error: got ")
    assert words.count("\n") == 1


def test_a_file_of_flags_that_never_ends_is_refused(capsys):
    with pytest.raises(SystemExit):
        common._parse_flags(["test", "--flagfile=/dev/zero"])
    assert "error: got /dev/zero, which is no regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("allowed", "value"),
    [
        (inputs.Whole(0, 9), True),
        (inputs.Whole(0, 9), 3.0),
        (inputs.Whole(0, 9), "3"),
        (inputs.Whole(0, 9), 10**5000),
        (inputs.Real(0, 1), False),
        (inputs.Real(0, 1), float("nan")),
        (inputs.Real(0, 1), 10**400),
        (inputs.Real(0, 1, open=True), 0),
        (inputs.Boolean(), 1),
        (inputs.Boolean(), "false"),
        (inputs.Choice(("a", "b")), ["a"]),
        (inputs.Choice(("a", "b")), "c" * 10**6),
    ],
    ids=range(12),
)
def test_values_of_another_type_are_out_of_range(allowed, value):
    sentence(lambda: allowed.check(value, "field "))

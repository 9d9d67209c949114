"""Token ids from outside: every form gives the same documents, and bad files are refused."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamics import inputs
from dynamics.data import corpus, synthetic, tokenizer
from dynamics.errors import InputError

MOST = 10_000
DOCUMENTS = [[5, 6, 7], [], [9], [300, 2]]


def write_npy(folder, documents, *, end: bool = False):
    lengths = [len(ids) for ids in documents]
    offsets = np.cumsum([0, *lengths])
    np.save(folder / "some.npy", np.concatenate([np.array(ids, int) for ids in documents]))
    np.save(folder / "some.offsets.npy", offsets if end else offsets[:-1])
    return folder / "some.npy"


def write_raw(folder, documents):
    write_npy(folder, documents)
    np.load(folder / "some.npy").astype("<u2").tofile(folder / "some.bin")
    return folder / "some.bin"


def write_megatron(folder, documents, kind: int = 8, dtype: str = "<u2"):
    """As Megatron-LM's IndexedDatasetBuilder does, one sequence to a document."""
    ids = [np.array(own, dtype) for own in documents]
    (folder / "some.bin").write_bytes(b"".join(own.tobytes() for own in ids))
    lengths = np.array([len(own) for own in ids], "<i4")
    pointers = np.cumsum([0, *(own.nbytes for own in ids[:-1])]).astype("<i8")
    header = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, kind, len(ids), len(ids) + 1)
    places = np.arange(len(ids) + 1, dtype="<i8")
    index = header + lengths.tobytes() + pointers.tobytes() + places.tobytes()
    (folder / "some.idx").write_bytes(index)
    return folder / "some.bin"


@settings(deadline=None, max_examples=30)
@given(
    documents=st.lists(st.lists(st.integers(0, 60_000), max_size=5), min_size=1, max_size=6).filter(
        lambda documents: bool(documents[-1])  # of an empty last one offsets alone say nothing
    )
)
def test_every_form_gives_the_documents_that_were_written(tmp_path_factory, documents):
    folder = tmp_path_factory.mktemp("ids")
    for path in (
        write_npy(folder, documents),
        write_npy(folder, documents, end=True),
        write_raw(folder, documents),
        write_megatron(folder, documents),
        write_megatron(folder, documents, 4, "<i4"),
    ):
        read = inputs.read_ids(path, MOST)
        assert [ids.tolist() for ids in read] == documents
        assert all(ids.dtype == np.int32 for ids in read)


def remove(name):
    return lambda folder: (folder / name).unlink()


def rewrite(name, change):
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def save(name, array):
    return lambda folder: np.save(folder / name, array)


@pytest.mark.parametrize(
    ("write", "damage", "words"),
    [
        (write_npy, remove("some.offsets.npy"), "without some.offsets.npy"),
        (write_raw, remove("some.offsets.npy"), "without some.offsets.npy or some.idx"),
        (write_npy, save("some.offsets.npy", [1, 2]), "do not ascend from 0"),
        (write_npy, save("some.offsets.npy", [0, 3, 2]), "do not ascend from 0"),
        (write_npy, save("some.offsets.npy", [0, 7]), "leave the ids"),
        (write_npy, save("some.offsets.npy", [0.0, 3.0]), "float64"),
        (write_npy, save("some.npy", [[1, 2, 3]]), r"\(1, 3\)"),
        (write_npy, save("some.npy", [-1, 2, 3, 4, 5, 6]), "from -1 to 6"),
        (write_npy, save("some.npy", [1 << 40] * 6), "from 1099511627776"),
        (write_npy, save("some.npy", np.array([{}], object)), "unreadable"),
        (write_npy, rewrite("some.npy", lambda content: content[:-3]), "unreadable"),
        (write_npy, rewrite("some.npy", lambda content: content + b"0" * MOST), "of more than"),
        (write_raw, rewrite("some.bin", lambda content: content[:-1]), "no whole number of ids"),
        (write_megatron, rewrite("some.bin", lambda content: content[:-2]), "some.idx counts 6"),
        (write_megatron, rewrite("some.idx", lambda content: content[:-1]), "cut short"),
        (write_megatron, rewrite("some.idx", lambda content: b"x" + content), "does not begin"),
        (
            write_megatron,
            rewrite("some.idx", lambda content: content[:17] + b"\x07" + content[18:]),
            "ids of type 7",
        ),
        (
            write_megatron,
            rewrite("some.idx", lambda content: content[:-8] + b"\x09" + b"\0" * 7),
            "beyond its sequences",
        ),
    ],
)
def test_bad_files_are_refused(tmp_path, write, damage, words):
    path = write(tmp_path, DOCUMENTS)
    damage(tmp_path)
    with pytest.raises(InputError, match=words):
        inputs.read_ids(path, MOST)


def test_ids_are_a_corpus_whose_separators_stand_before_documents(tmp_path):
    """0 is the separator, which Megatron's files have after each document."""
    own = synthetic.tokenizer()
    text = corpus.read(write_megatron(tmp_path, [[5, 6, 0], [0, 7], [8]]))
    assert [ids.tolist() for ids in tokenizer.encode(own, text)] == [[0, 5, 6], [0, 7], [0, 8]]
    other = corpus.read(write_megatron(tmp_path, [[5, 6, 0], [0, 7], [9]]))
    assert text.fingerprint() != other.fingerprint()
    np.save(tmp_path / "empty.npy", np.zeros(0, int))
    np.save(tmp_path / "empty.offsets.npy", [0])
    with pytest.raises(InputError, match="without token ids"):
        corpus.read(tmp_path / "empty.npy")


def test_a_folder_holds_files_of_ids_beside_text(tmp_path):
    """Offsets and indices are no documents of their own."""
    (tmp_path / "a").mkdir()
    write_npy(tmp_path / "a", [[5, 6], [7]])
    (tmp_path / "b").mkdir()
    write_megatron(tmp_path / "b", [[8, 9, 9]])
    (tmp_path / "notes.txt").write_text("text")
    read = corpus.read(tmp_path).documents
    assert [d.name for d in read] == ["a/some.npy#0", "a/some.npy#1", "b/some.bin#0", "notes.txt"]
    assert [None if d.ids is None else d.ids.tolist() for d in read] == [
        [5, 6],
        [7],
        [8, 9, 9],
        None,
    ]
    (tmp_path / "b" / "some.idx").unlink()
    with pytest.raises(InputError, match=r"some.bin without some.offsets.npy or some.idx"):
        corpus.read(tmp_path)

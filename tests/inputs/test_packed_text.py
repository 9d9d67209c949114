"""Packed text: whole it is what was packed; cut short, damaged or too long it is refused."""

import gzip
import importlib.util
import json

import pytest

from dynamics import inputs
from dynamics.data import corpus
from dynamics.errors import InputError
from dynamics.inputs import zstd

TEXTS = ["first", "second " * 400]
ROWS = "\n".join(json.dumps({"text": text}) for text in TEXTS).encode()
needs_packer = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow packs what these tests read"
)


def packed(name: str, content: bytes) -> bytes:
    if name.endswith(".gz"):
        return gzip.compress(content)
    pyarrow = pytest.importorskip("pyarrow")
    return bytes(pyarrow.Codec("zstd").compress(content))


@pytest.fixture(params=["some.jsonl.gz", pytest.param("some.jsonl.zst", marks=needs_packer)])
def path(request, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(packed(request.param, ROWS))
    return path


def test_packed_lines_are_documents(path):
    assert [document.text for document in corpus.read(path).documents] == TEXTS
    path.write_bytes(path.read_bytes() + packed(path.name, b"\n" + ROWS))  # joined files
    assert len(corpus.read(path).documents) == 4


def test_a_file_cut_short_is_refused(path):
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=f"{path.name}, unreadable"):
            corpus.read(path)


def test_what_is_no_packed_text_is_refused(path):
    path.write_bytes(b"plain text")
    with pytest.raises(InputError, match=f"{path.name}, (unreadable|which cannot be read)"):
        corpus.read(path)


def test_no_more_is_unpacked_than_the_limit(path):
    path.write_bytes(packed(path.name, b"\0" * 10_000_000))
    assert len(path.read_bytes()) < 20_000
    with pytest.raises(InputError, match=r"of more than 976.6 kiB; .* or less"):
        inputs.read_bytes(path, 1_000_000)
    assert inputs.read_bytes(path, 10_000_000) == b"\0" * 10_000_000


def test_without_a_library_the_mend_names_one(tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(zstd.importlib, "import_module", absent)
    (tmp_path / "some.zst").write_bytes(b"some")
    with pytest.raises(InputError, match=r"pip install backports\.zstd"):
        inputs.read_bytes(tmp_path / "some.zst", 100)

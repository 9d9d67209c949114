"""The parquet that the hub keeps of a data set, read by stream where `datasets` is not installed.

A folder stands for the hub's file system; pyarrow, where it is installed, reads what it wrote.
"""

import importlib.util
import sys
import types

import huggingface_hub
import pytest
from fsspec.implementations.local import LocalFileSystem

from dynamics.data import hub_text
from dynamics.errors import InputError

ROWS = [{"text": f"text {k}", "domain": "en" if k % 2 else "de", "meta": k} for k in range(150)]


@pytest.fixture(autouse=True)
def without_datasets(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # to import it is an ImportError


class Folder(LocalFileSystem):
    """A folder in place of the hub, which counts the files that it opens."""

    root, opened = "", []

    def ls(self, path, detail=False, **choices):
        return super().ls(f"{self.root}/{path}", detail=detail, **choices)

    def open(self, path, mode="rb", **choices):
        self.opened.append(path)
        return super().open(path, mode, **choices)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes rows as two parquet files of a split of me/toy."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(Folder, "root", str(tmp_path))
    monkeypatch.setattr(Folder, "opened", [])
    monkeypatch.setattr(huggingface_hub, "HfFileSystem", Folder)

    def of_split(folder: str):
        split = tmp_path / "datasets" / "me" / "toy@refs/convert/parquet" / folder
        split.mkdir(parents=True)
        for part, rows in enumerate((ROWS[:100], ROWS[100:])):
            table = pyarrow.Table.from_pylist(rows)
            parquet.write_table(table, split / f"{part:04}.parquet", row_group_size=30)

    return of_split


@pytest.mark.parametrize("folder", ["default/train", "default/partial-train"])
def test_the_first_rows_are_documents_with_their_domains(write, folder):
    write(folder)
    read = hub_text.read("hub:me/toy", 70)
    assert [(d.text, d.domain) for d in read.documents] == [
        (row["text"], row["domain"]) for row in ROWS[:70]
    ]
    assert len(Folder.opened) == 1  # nothing of the second file
    assert len(hub_text.read("hub:me/toy", 1000).documents) == 150


def test_what_the_hub_lacks_is_named(write):
    write("en/train")
    with pytest.raises(InputError, match="without the split test; expected one of train"):
        hub_text.read("hub:me/toy:test", 7)
    write("de/train")
    with pytest.raises(InputError, match="which has the configurations de, en; expected one"):
        hub_text.read("hub:me/toy", 7)
    assert len(hub_text.read("hub:me/toy/de", 7).documents) == 7


def test_without_either_library_one_sentence_says_what_to_install(monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find_spec(name)
    )
    with pytest.raises(InputError, match=r"pip install datasets \(or pyarrow\)"):
        hub_text.read("hub:me/toy", 7)


@pytest.mark.parametrize(("reason", "mend"), [("401 Client Error", "hf auth login"), ("reset", "")])
@pytest.mark.parametrize("library", ["datasets", "pyarrow"])
def test_a_data_set_that_needs_a_login_says_so(monkeypatch, library, reason, mend):
    """Whichever library asks for it: both are stood in for."""

    def refuse(*_, **choices):
        raise OSError(reason)

    stand_in = types.SimpleNamespace(load_dataset=refuse)
    hub = types.SimpleNamespace(HfFileSystem=lambda: types.SimpleNamespace(ls=refuse))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", stand_in)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    if library == "datasets":
        monkeypatch.setitem(sys.modules, "datasets", stand_in)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(InputError) as caught:
        hub_text.read("hub:me/toy", 7)
    assert reason in caught.value.got
    assert mend in caught.value.mend
    assert bool(mend) == bool(caught.value.mend)

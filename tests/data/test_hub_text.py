"""A data set of the hub: its first rows by stream, and what is said of one that cannot be read.

The library itself streams, of a folder that stands for the hub.
"""

import json
import warnings

import pytest

from dynamics.data import hub_text
from dynamics.errors import InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    datasets = pytest.importorskip("datasets")

pytestmark = pytest.mark.filterwarnings("ignore")  # of `datasets` and what it imports


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """Writes rows into the folder that any name is read from."""
    streamed = datasets.load_dataset

    def of_folder(repo, config, **choices):
        assert (repo, choices["split"]) == ("me/toy", "validation")
        return streamed("json", data_files={"validation": str(tmp_path / "a.jsonl")}, **choices)

    monkeypatch.setattr(datasets, "load_dataset", of_folder)

    def write(rows):
        (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))

    return write


def test_the_first_rows_are_documents(rows):
    rows([{"text": f"text {k}", "meta": k} for k in range(20)])
    read = hub_text.read("hub:me/toy:validation", 7)
    assert [document.text for document in read.documents] == [f"text {k}" for k in range(7)]
    assert read.documents[3].name == "hub:me/toy:validation#3"
    assert len(hub_text.read("hub:me/toy:validation", 100).documents) == 20
    with pytest.raises(
        InputError, match=r"2 documents .* of more than 0 MiB; .*--corpus_documents"
    ):
        hub_text.read("hub:me/toy:validation", 7, most=10)


def test_rows_without_text_are_refused(rows):
    rows([{"content": "text"}])
    with pytest.raises(InputError, match="with the columns content; expected a column 'text'"):
        hub_text.read("hub:me/toy:validation", 7)


@pytest.mark.parametrize(
    ("reason", "mend"),
    [
        ("Dataset 'me/toy' is a gated dataset on the Hub. Ask for access.", "hf auth login"),
        ("401 Client Error", "hf auth login"),
        ("Dataset 'me/toy' doesn't exist on the Hub or cannot be accessed.", ""),
    ],
)
def test_a_data_set_that_cannot_be_read_says_why(monkeypatch, reason, mend):
    def refuse(*_, **choices):
        raise datasets.exceptions.DatasetNotFoundError(reason)

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(InputError) as caught:
        hub_text.read("hub:me/toy", 7)
    assert reason in caught.value.got
    assert mend in caught.value.mend
    assert bool(mend) == bool(caught.value.mend)


@pytest.mark.parametrize("name", ["hub:toy", "hub:me/toy/a/b", "hub:me/toy:", "hub:../toy/x y"])
def test_names_of_another_form_are_refused(name):
    with pytest.raises(InputError, match="hub:OWNER/NAME"):
        hub_text.read(name, 7)

"""Patterns for names of tensors, and folders named after them."""

from pathlib import Path

import pytest

from dynamics.checkpoints.tensor_names import folder_name, matching
from dynamics.errors import InputError

NAMES = {name: name for name in ("embed_out.weight", "gpt_neox.embed_in.weight")}


def test_a_pattern_that_matches_nothing_lists_near_names():
    assert matching(NAMES, r"embed_(in|out)") == list(NAMES)
    with pytest.raises(InputError, match=r"Did you mean embed_out\.weight"):
        matching(NAMES, "embed_uot.weight")


@pytest.mark.parametrize(
    "pattern", ["embed_(", "a{99999999999}", "(" * 5000 + ")" * 5000], ids=["open", "many", "deep"]
)
def test_what_is_no_regular_expression_is_refused(pattern):
    with pytest.raises(InputError, match="a regular expression"):
        matching(NAMES, pattern)


@pytest.mark.parametrize("name", ["../up", "/up", "..", ".", "", "a/b", "x" * 300, "\udcff", "ü"])
def test_a_folder_of_any_name_stays_where_it_is_put(name):
    folder = folder_name(name)
    assert Path(folder).name == folder
    assert folder not in ("", ".", "..", name)
    assert len(folder.encode()) < 160


def test_other_names_have_other_folders():
    names = ["a/b", "a//b", "a-b", "a b", "x" * 300, "x" * 301, *NAMES]
    assert len({folder_name(name) for name in names}) == len(names)
    assert [folder_name(name) for name in NAMES] == list(NAMES)

"""A suite that is trained on the user's own text: in two languages it is measured by language."""

import json

import job
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics.errors import InputError
from experiments import common

LETTERS = {"en": "etaoinshrdlu", "de": "enisratdhulc"}


@pytest.fixture(scope="module")
def two_languages(tmp_path_factory):
    """Made-up words of two languages, in documents that say which."""
    path, rng = tmp_path_factory.mktemp("text") / "two.jsonl", np.random.default_rng(0)
    rows = []
    for language, letters in LETTERS.items():
        words = ["".join(rng.choice(list(letters), rng.integers(2, 9))) for _ in range(300)]
        for _ in range(40):
            rows.append({"text": " ".join(rng.choice(words, 200)), "domain": language})
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_the_text_is_measured_where_it_was_held_out(two_languages):
    with flagsaver.flagsaver():
        flags.FLAGS(["test", "--suite=smoke", f"--train_on={two_languages}"])
        assert common.named_suite().name == "smoke-on-two"
        assert {document.domain for document in common._corpus().documents} == {"en", "de"}
        assert common._measure_on() == "held_out"
        with flagsaver.flagsaver(corpus=str(two_languages)):
            assert common._measure_on() == "held_out"
        for name in ("pythia", "mine.toml"):
            with (
                flagsaver.flagsaver(suite=name),
                pytest.raises(InputError, match="expected a suite that is trained here: nano, "),
            ):
                common.named_suite()


@pytest.mark.long
def test_two_languages_are_told_apart_on_the_page(two_languages, cache, tmp_path):
    run = ("--suite=smoke", f"--train_on={two_languages}", "--steps=0,8,32", "--windows=24")
    code, _, stderr = job.run("convergence", *run, "--context=64", cache=cache, out=tmp_path)
    assert code == 0, stderr
    assert job.run("report", *run, cache=cache, out=tmp_path)[0] == 0
    data = tmp_path / "report" / "data"
    table = (data / "by-domain-predicted-token.csv").read_text().splitlines()
    assert {row.partition(",")[0] for row in table[1:]} == {"de", "en"}
    assert (data / "small-less-large-by-domain.csv").exists()

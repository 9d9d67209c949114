"""A text of the user's own is measured whole, every token from its whole prefix, and told so."""

import json

import jax
import job
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from dynamics import checkpoints, models, results
from dynamics.data import synthetic
from dynamics.data.corpus import Corpus, Document
from dynamics.figures import style
from dynamics.models import gpt_neox
from dynamics.questions import Committed, site
from dynamics.questions.convergence.findings import find
from dynamics.questions.convergence.section import section
from dynamics.study import Study
from dynamics.suite import folder_tree
from dynamics.training import nano
from experiments import common, convergence, scored_text

# As many documents and tokens as "Convergence and Divergence of Language Models under Different
# Random Seeds" measures on (its section 3).
DOCUMENTS, TOKENS = 10, 4662


def stand_in() -> Corpus:
    """Letters, each one token of the synthetic text's tokenizer, in documents of uneven lengths."""
    rng = np.random.default_rng(0)
    cuts = np.sort(rng.choice(np.arange(1, TOKENS), DOCUMENTS - 1, replace=False))
    lengths = np.diff([0, *cuts, TOKENS])
    letters = [rng.choice(list(synthetic.LETTERS), length) for length in lengths]
    documents = [Document(f"{k}", "text", "".join(own)) for k, own in enumerate(letters)]
    return Corpus("stand-in", tuple(documents))


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Two seeds of a small model that reads 512 letters, at two steps."""
    config = gpt_neox.Config(
        hidden_size=16,
        num_layers=1,
        num_heads=2,
        intermediate_size=32,
        vocab_size=64,
        max_positions=512,
    )
    folder = tmp_path_factory.mktemp("letters")
    tokenizer_file = folder / "tokenizer.json"
    tokenizer_file.write_text(synthetic.tokenizer().to_str())
    init = jax.jit(models.init, static_argnums=1)
    grid = folder_tree("letters", folder, ["letters"], [0, 1], [0, 8])
    for cell in grid.cells():
        params = init(jax.random.key(10 * cell.seed + cell.step), config)
        checkpoints.save(grid.source(*cell).location, config, params, tokenizer_file)
    return grid


def measure(grid, folder, text: Corpus) -> Study:
    """Everything that `experiments.convergence --context_mode=prefix` measures of the text."""
    study = Study(
        suite=grid,
        store=results.Store(folder),
        read_corpus=lambda: text,
        measure_on="all",
    )
    for experiment in convergence.experiments(study):
        common.run(study, experiment)
    return study


@pytest.fixture
def prefix_mode():
    with flagsaver.flagsaver():
        flags.FLAGS(["test", "--context_mode=prefix"])
        yield


@pytest.mark.long
def test_ten_documents_give_ten_and_every_token_is_counted(grid, tmp_path, prefix_mode):
    study = measure(grid, tmp_path, stand_in())
    data = job.numbers(tmp_path)
    measured = data["convergence/letters/seed0-1/step8.nc"]
    assert measured.sizes["document"] == DOCUMENTS
    assert int(measured["tokens"].sum()) == TOKENS == measured["kl_token"].size
    coverage = f"every token of 10 of 10 documents of stand-in, {TOKENS:,} tokens"
    assert coverage in measured.attrs["coverage"]
    assert scored_text.of(study).coverage == measured.attrs["coverage"]

    # What is known of each token lies beside its divergence, and the text can be read from it.
    properties = data["token_properties/suite.nc"]
    pieces = properties["piece"].values[properties["index"].values[:, 1]]
    assert "".join(pieces) == "".join(document.text for document in stand_in().documents)
    assert int(properties["count"].sum()) == TOKENS + DOCUMENTS  # and a separator before each

    site.write(study.store, "letters", tmp_path / "report.html")
    page = (tmp_path / "report" / "convergence.html").read_text(encoding="utf-8")
    assert coverage in page
    assert (tmp_path / "report" / "token_properties.html").exists()


@pytest.mark.long
def test_one_document_gives_numbers_and_says_why_there_is_no_interval(grid, tmp_path, prefix_mode):
    letters = Corpus("letters", (Document("0", "text", "abc" * 12),))
    measure(grid, tmp_path, letters)
    findings = find(Committed(results.Store(tmp_path)))
    assert findings is not None
    (model,) = findings.models
    assert findings.ngrams is None  # no other text to fit them on
    assert np.isfinite(model.divergence.seed_kl.value).all()
    assert "these seeds, other documents" in model.intervals.refusals
    shown = section(findings, style.Look([model.model]))
    assert "The text is one document" in shown.introduction
    assert "2 seeds, one document" in shown.findings[0].rests_on
    for panel in shown.panels:
        panel.draw()


def write_corpus(path, texts) -> str:
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return str(path)


def test_a_text_of_the_users_own_is_measured_whole(tmp_path):
    own = write_corpus(tmp_path / "own.jsonl", ["a b c", "d e f"])
    with flagsaver.flagsaver():
        flags.FLAGS(["test"])
        assert common._measure_on() == "held_out"
        for suite in ("nano", "pythia"):
            with flagsaver.flagsaver(suite=suite, corpus=own):
                assert common._measure_on() == "all"
        with flagsaver.flagsaver(corpus=own, measure_on="held_out"):
            assert common._measure_on() == "held_out"


def test_a_text_that_a_suite_was_trained_on_is_not(tmp_path, monkeypatch, caplog):
    documents = tuple(Document(f"own.jsonl#{k}", "text", f"text {k}") for k in range(1, 40))
    monkeypatch.setattr(nano, "text", lambda name, own: Corpus("toy", documents))
    texts = [document.text for document in documents]
    same = write_corpus(tmp_path / "own.jsonl", texts)
    part = write_corpus(tmp_path / "part.jsonl", [*texts[:5], "another"])
    with flagsaver.flagsaver():
        flags.FLAGS(["test"])
        with flagsaver.flagsaver(suite="nano", corpus=same):
            assert common._measure_on() == "held_out"
        with flagsaver.flagsaver(suite="nano", corpus=part), caplog.at_level("WARNING"):
            assert common._measure_on() == "all"
    (said,) = [record.getMessage() for record in caplog.records]
    assert "of its 6 documents are among those that nano was trained on" in said


def test_n_grams_foretell_no_document_that_they_were_fitted_on(tmp_path, prefix_mode):
    """Letters that stand in one document each: fitted on it they would have no surprise."""
    documents = tuple(Document(f"{k}", "text", letter * 9) for k, letter in enumerate("abcdef"))
    study = Study(
        suite=folder_tree("letters", tmp_path, ["letters"], [0, 1], [0]),
        store=results.Store(tmp_path),
        read_corpus=lambda: Corpus("toy", documents),
        measure_on="all",
    )
    study.__dict__["tokenizer"] = synthetic.tokenizer()
    study.__dict__["longest_context"] = 64
    (experiment,) = convergence._yardstick(study, {})
    data, _ = experiment.compute(study, experiment.units[0])
    assert float(data["cross_entropy"][0]) > np.log(30)

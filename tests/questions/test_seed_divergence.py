"""What a model's seeds show over training, and the sentence that says it.

Axes: K steps, S seeds, G documents.
"""

import numpy as np
import pytest
from made_seeds import kl_of_level, made_record, units

from dynamics.analysis.uncertainty import paired_difference, seed_interval
from dynamics.questions import seed_record
from dynamics.questions.seed_divergence import Divergence, course, divergence

STEPS, TOKENS = (0, 1, 2, 512, 1000), np.arange(1.0, 9.0)


def made(level, seeds: int = 3) -> Divergence:
    """The divergence of seeds whose KL is about the level [K]."""
    kl = kl_of_level(level, seeds)
    records = [made_record(kl[k], TOKENS, mean) for k, mean in enumerate(level)]
    stored = dict(zip(STEPS, map(seed_record.to_dataset, records), strict=False))
    return divergence("toy", units("convergence", "toy", stored), records)


def said(level, seeds: int = 3) -> tuple[str, str]:
    """The sentence and its grade."""
    finding = course(made(level, seeds), "KL between seeds", "nats per token")
    return finding.sentence, finding.grade


@pytest.mark.parametrize("complete", [True, False])
def test_a_record_is_read_as_it_was_written(complete):
    written = made_record(kl_of_level([0.3])[0], TOKENS, 0.3, complete=complete)
    read = seed_record.from_dataset(seed_record.to_dataset(written))
    for name, value in vars(written).items():
        if value is None:
            assert getattr(read, name) is None, name
        else:
            np.testing.assert_array_equal(getattr(read, name), value, err_msg=name)


def test_numbers_of_a_measure_become_the_record():
    written = made_record(kl_of_level([0.3])[0], TOKENS, 0.3)
    numbers = {
        "document_tokens": written.tokens,
        "kl": written.token_kl,
        "js": written.token_js,
        "surprisal": written.token_surprisal,
        "max_logit": written.max_logit,
    }
    for name in ("surprisal", "entropy", "kl_uniform", "kl_unigram", "kl", "js"):
        numbers[f"{name}_documents"] = getattr(written, name)
    window_document = np.repeat(written.documents, 2)
    read = seed_record.Record.of_measure(
        numbers, window_document, seeds=written.seeds, num_parameters=8_000, learning_rate=1e-3
    )
    for name in set(vars(written)) - {"window_document"}:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name), err_msg=name)


def test_the_divergence_is_that_of_its_pairs():
    seeds = made([0.4, 0.3, 0.2])
    for k, kl in enumerate(seeds.kl):
        pairs = kl[~np.eye(3, dtype=bool)].mean(0)
        interval = seed_interval(kl, TOKENS)
        assert seeds.seed_kl.value[k] == pytest.approx(pairs @ TOKENS / TOKENS.sum(), rel=1e-12)
        assert (seeds.seed_kl.low[k], seeds.seed_kl.high[k]) == (interval.low, interval.high)


def test_numbers_of_single_seeds_have_their_error_over_seeds():
    loss = made([0.4, 0.3]).surprisal
    np.testing.assert_allclose(loss.value, 3.0)  # of seeds 2, 3 and 4
    np.testing.assert_allclose(loss.sem, 1 / np.sqrt(3))


def test_the_rise_is_said_with_its_error():
    sentence, grade = said([0.4, 0.2, 0.5])
    assert "falls to 0.2" in sentence
    assert "rises to 0.50" in sentence or "rises to 0.49" in sentence
    kl = kl_of_level([0.4, 0.2, 0.5])
    errors = made([0.4, 0.2, 0.5]).turns.rise.errors
    assert f"rises by {errors:.0f} standard errors over seeds and documents:" in sentence
    assert f"what is left of {paired_difference(kl[1], kl[2], TOKENS).ratio:.1f}" in sentence
    assert grade == "sure"


def test_a_curve_that_only_falls_is_judged_by_its_fall():
    sentence, grade = said([0.4, 0.3, 0.2])
    assert "at step 2, the last measured: no rise is seen" in sentence
    assert "standard errors" not in sentence
    assert grade == "sure"


def test_two_seeds_are_too_few_to_say_how_sure_the_rise_is():
    sentence, grade = said([0.4, 0.2, 0.5], seeds=2)
    assert "2 seeds, 8 documents are too few" in sentence
    assert grade == "open"


def test_a_rise_within_its_error_is_not_relied_on():
    sentence, grade = said([0.4, 0.2, 0.2005])
    assert "too few to rely on" in sentence
    assert grade == "unsure"


def test_a_peak_between_minimum_and_end_is_said():
    sentence, _ = said([0.4, 0.2, 0.8, 0.5])
    assert "at step 2 and comes back to 0." in sentence


def test_a_curve_that_only_rises_says_where_it_starts():
    sentence, _ = said([0.2, 0.4, 0.5])
    assert "nats per token, its lowest, and rises to" in sentence


def test_one_step_has_no_course():
    sentence, grade = said([0.4])
    assert "at step 0, the only one measured" in sentence
    assert grade == "open"

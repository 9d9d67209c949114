"""The page tells of a known truth, and of bytes, what the planted numbers hold, and no more."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics import results
from dynamics.analysis import byte_divergence, known_truth
from dynamics.report import page

STEPS = (0, 16, 64, 256, 640)
TO_TRUTH = (1.5, 1.0, 0.5, 0.2, 0.1)  # falls all the way
BETWEEN = (0.4, 0.2, 0.1, 0.2, 0.05)  # seeds draw apart at step 256
FROM_UNIGRAM = (0.9, 0.2, 0.3, 0.5, 0.6)
WINDOWS = 40


def square(values: np.ndarray, seeds: int) -> np.ndarray:
    """[G] -> [S,S,G]: the same for every pair, nearly, and 0 for a seed and itself."""
    apart = 1 + 0.01 * np.abs(np.subtract.outer(np.arange(seeds), np.arange(seeds)))
    return (~np.eye(seeds, dtype=bool) * apart)[..., None] * values


def truth_data(k: int, seeds: int) -> xr.Dataset:
    rng = np.random.default_rng(k)
    noise = 1 + 0.05 * np.random.default_rng(0).standard_normal(
        WINDOWS
    )  # of windows, the same at every step
    drawn = rng.normal(0, 0.2, WINDOWS)
    each = 1 + 0.02 * np.arange(seeds)[:, None]
    to_truth, own = each * TO_TRUTH[k] * noise, ("seed", "document")
    data = {
        "kl": (("seed", "other", "document"), square(BETWEEN[k] * noise, seeds)),
        "truth_model": (own, to_truth),
        "unigram_model": (own, each * FROM_UNIGRAM[k] * noise),
        "surprisal": (own, 2.5 + to_truth + drawn),
        "true_surprisal": ("document", np.full(WINDOWS, 2.5)),
        "true_entropy": ("document", 2.5 * np.ones(WINDOWS)),
        "truth_unigram": ("document", 0.6 * np.ones(WINDOWS)),
        "common": ("document", 0.75 * to_truth.mean(0)),
        "variance": ("document", 0.25 * to_truth.mean(0)),
    }
    tokens = ("document", np.full(WINDOWS, 63))
    return xr.Dataset(
        data, {"seed": np.arange(seeds), "document": np.arange(WINDOWS), "tokens": tokens}
    )


def byte_data(k: int, seeds: int) -> xr.Dataset:
    size = np.arange(10.0, 50.0)
    per_byte = np.full(WINDOWS, 0.1 + 0.1 * k) * (
        1 + 0.1 * np.random.default_rng(1).standard_normal(WINDOWS)
    )
    bits = np.log(2) * (1 + np.arange(seeds))[:, None] * np.ones(WINDOWS)
    own, pairs = ("seed", "document"), ("seed", "other", "document")
    data = {
        "kl": (pairs, square(per_byte, seeds)),
        "js": (pairs, square(per_byte / 4, seeds)),
        "surprisal": (own, bits),
        "surprisal_bytes": (own, bits - 0.1 * np.log(2)),
        "surprisal_gap": (pairs, np.abs(bits[:, None] - bits[None])),
        "entropy": (own, bits),
    }
    coordinates = {
        "seed": np.arange(seeds),
        "document": np.arange(WINDOWS),
        "bytes": ("document", size),
    }
    return xr.Dataset(data, {**coordinates, "vocabulary": ("seed", 300 + 212 * np.arange(seeds))})


def store_of(root: Path, measure: str, data, seeds: int = 3, steps=STEPS) -> results.Store:
    store = results.Store(root)
    for step in steps:
        unit = results.Unit(measure=measure, model="toy-8", seeds=tuple(range(seeds)), step=step)
        provenance = {"weights": [], "corpus": {"name": "text"}}
        store.write(unit, data(STEPS.index(step), seeds), {"suite": "toy"}, provenance)
    return store


def written(store: results.Store) -> tuple[str, dict]:
    """The page's captions as plain text, and its numbers."""
    text = page.write(store, "toy", store.root / "report.html").read_text(encoding="utf-8")
    shown = json.loads(re.search(r'id="numbers">(.*?)</script>', text, re.S)[1])
    return re.sub(r"\s+", " ", text.replace("&#39;", "'")), shown


@pytest.fixture(scope="module")
def truth_page(tmp_path_factory):
    return written(store_of(tmp_path_factory.mktemp("truth"), "truth", truth_data))


def test_the_course_to_the_truth_is_told_with_its_stages(truth_page):
    text, numbers = truth_page
    assert "toy-8 starts at 1.53 and ends at 0.102 at step 640" in text
    assert (
        "toy-8 is nearest to the frequencies at step 16 and comes nearer to the truth than they are at step 64"
        in text
    )
    noise = 1 + 0.05 * np.random.default_rng(0).standard_normal(WINDOWS)
    np.testing.assert_allclose(
        numbers["kl_to_truth"]["toy-8"]["value"], 1.02 * noise.mean() * np.array(TO_TRUTH)
    )
    for name in ("kl_to_truth", "kl_between_seeds"):
        curve = numbers[name]["toy-8"]
        assert all(
            low < value < high
            for low, value, high in zip(curve["low"], curve["value"], curve["high"], strict=True)
        )


def test_seeds_that_draw_apart_on_the_way_to_the_truth_are_told(truth_page):
    assert (
        "seeds drew apart, while they came nearer to the truth: toy-8 at step 256." in truth_page[0]
    )


def test_shares_and_the_identity_are_told(truth_page):
    text, _ = truth_page
    assert "toy-8: 25 % of it is each seed's own at step 0, at most 25 %" in text
    errors = re.search(r"the two are at most ([\d.]+) standard errors apart", text)
    assert errors is not None
    assert float(errors[1]) < 4


def test_a_rise_within_its_error_is_not_told(tmp_path):
    def noisy(k, seeds):
        data = truth_data(k, seeds)
        rough = np.abs(np.random.default_rng(k).standard_cauchy(WINDOWS)) + 0.1
        return data.assign(kl=(("seed", "other", "document"), square(BETWEEN[k] * rough, seeds)))

    text, _ = written(store_of(tmp_path, "truth", noisy))
    (one,) = known_truth.known_truths(list(results.Store(tmp_path).committed("truth")))
    assert np.diff(one.between.value).max() > 0
    assert one.rises == ()
    assert "At no step did seeds draw apart, by two standard errors" in text


def test_two_seeds_have_no_interval_over_seeds(tmp_path):
    text, numbers = written(store_of(tmp_path, "truth", truth_data, seeds=2))
    for name in ("kl_between_seeds", "kl_to_truth"):
        assert numbers[name]["toy-8"]["low"] == [None] * len(STEPS)
    assert "95 % interval" not in text


def test_bytes_are_told_with_every_pair(tmp_path):
    text, numbers = written(store_of(tmp_path, "bytes", byte_data))
    assert f"{int(np.arange(10, 50).sum())} bytes of {WINDOWS} documents" in text
    assert "95 % interval over 3 seeds and 40 documents" in text
    assert text.count("step 640</td>") + text.count(", step 640 ") >= 6
    assert "300 and 512" in text
    gap = numbers["surprisal_gap_bits"]["toy-8"]["value"]
    np.testing.assert_allclose(gap, 4 / 3)  # bits: 1, 1 and 2 between 1, 2 and 3
    assert "saves 0.100 bits for toy-8 at the last step" in text


def test_two_models_at_one_step_are_compared(tmp_path):
    store = store_of(tmp_path, "bytes", byte_data, seeds=2, steps=(0,))
    text, numbers = written(store)
    assert "Over other models no interval is given: it needs three." in text
    (one,) = byte_divergence.byte_divergences(list(store.committed("bytes")))
    assert one.by_documents.has_errors
    assert not one.by_both.has_errors
    assert len(numbers["next_byte_kl"]["toy-8"]["value"]) == 1

"""Judgements of minimal pairs to curves, on made-up data sets.

Axes: S seeds, N pairs, Q tasks.
"""

import numpy as np
import pytest
import xarray as xr

from dynamics.analysis import minimal_pairs
from dynamics.figures import style
from dynamics.measures.minimal_pairs import pair_kl
from dynamics.report import minimal_pairs as page
from dynamics.results import Unit

TASK = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 3])
TERMS = ["agreement", "agreement", "binding", ""]


def committed(seeds: int = 4, steps=(0, 8, 64), scale: float = 1.0):
    """[(unit, data)] of preferences drawn anew at every step."""
    rng = np.random.default_rng(0)
    found = []
    for step in steps:
        x = scale * rng.normal(0.5, 1, (seeds, len(TASK)))
        data = {"kl": (("seed", "other", "pair"), pair_kl(x)), "preference": (("seed", "pair"), x)}
        names = [f"task {q}" for q in range(4)]
        places = {"task": ("pair", TASK), "task_name": names, "term": ("task_name", TERMS)}
        unit = Unit(measure="minimal_pairs", model="toy-8", seeds=tuple(range(seeds)), step=step)
        found.append((unit, xr.Dataset(data, places, {"pairs": "toy.jsonl"})))
    return found


@pytest.fixture(scope="module")
def judged():
    (found,) = minimal_pairs.judgements(committed())
    return found


def test_every_pair_counts_once(judged):
    """The mean over tasks by their sizes is the plain mean over pairs and ordered seed pairs."""
    for k, (_, data) in enumerate(committed()):
        kl, x = data["kl"].values, data["preference"].values
        plain = kl[~np.eye(4, dtype=bool)].mean()
        assert minimal_pairs.seed_kl(judged).value[k] == pytest.approx(plain, rel=1e-12)
        assert minimal_pairs.accuracy(judged).value[k] == pytest.approx((x > 0).mean(), rel=1e-12)


def test_phenomena_pool_tasks_and_keep_the_whole(judged):
    pooled = minimal_pairs.phenomena(judged)
    assert dict(zip(pooled.names, pooled.sizes, strict=True)) == {
        "agreement": 6,
        "binding": 3,
        "task 3": 1,
    }
    whole = minimal_pairs.seed_kl(judged).value
    np.testing.assert_allclose(pooled.kl @ pooled.sizes / pooled.sizes.sum(), whole, rtol=1e-12)
    assert (np.diff(pooled.kl[-1]) <= 0).all()  # the most divergent first


def test_a_tie_is_half_right():
    data = committed(steps=(0,))
    data[0][1]["preference"].values[:] = 0
    (found,) = minimal_pairs.judgements(data)
    assert minimal_pairs.accuracy(found).value[0] == 0.5


def test_equal_seeds_do_not_differ():
    data = committed(steps=(0,))
    data[0][1]["kl"].values[:] = 0
    (found,) = minimal_pairs.judgements(data)
    assert minimal_pairs.seed_kl(found).value[0] == 0


def test_two_seeds_have_no_interval():
    (found,) = minimal_pairs.judgements(committed(seeds=2))
    assert not minimal_pairs.seed_kl(found).has_errors


def test_the_page_says_what_it_shows(judged):
    section = page.section([judged], style.Look(["toy-8"]))
    assert "10 pairs of 4 tasks (toy.jsonl)" in section.panels[0].caption
    assert [row["pairs"] for row in section.rows] == [
        str(int(n)) for n in minimal_pairs.phenomena(judged).sizes
    ]
    for panel in section.panels:
        assert panel.draw().axes

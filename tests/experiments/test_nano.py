"""The main job on its own suite: the nano suite's seeds converge, diverge, and learn more than a
bigram.

Training is the README's, of the larger model alone: the smoke suite's tests see two sizes side by
side. Checkpoints, Hessians and chains are fewer, since other tests hold them to their truths.
"""

import resource
import time
from pathlib import Path

import job
import numpy as np
import pytest

from dynamics.analysis import jackknife
from dynamics.analysis.curve import Curve
from dynamics.analysis.fall_and_rise import fall_and_rise
from dynamics.results import Store

FEWER = (
    "--models=nano-64",
    "--steps=0,16,32,64,640",
    "--windows=96",
    "--hessian_probes=4",
    "--hessian_windows=4",
    "--hessian_batches=2",
    "--lanczos_steps=8",
    "--llc_every=3",  # steps 16 and 640
    "--draws=100",
    "--burn_in=50",
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The results of a run from an empty cache."""
    cache, out = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("out")
    start = time.monotonic()
    code, stdout, stderr = job.run(
        "demo", *FEWER, cache=cache, out=out, timeout=2300, as_users_do=True
    )
    assert code == 0, stderr
    assert Path(stdout.strip().splitlines()[-1]).stat().st_size > 50_000
    first = time.monotonic() - start
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*.nc")}
    code, _, stderr = job.run("demo", *FEWER, cache=cache, out=out, as_users_do=True)
    assert code == 0, stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.nc")} == written
    assert time.monotonic() - start < 1.125 * first  # imports, reading and the page
    return Store(out)


@pytest.fixture(scope="module")
def divergence(store):
    """{model: {step: data set}}"""
    by_model = {}
    for unit, data in store.committed("convergence"):
        by_model.setdefault(unit.model, {})[unit.step] = data
    return by_model


def mean_kl(data) -> float:
    seeds = data.sizes["seed"]
    return float((data.kl * data.tokens).sum() / data.tokens.sum() / (seeds * (seeds - 1)))


def test_memory_stays_under_four_gigabytes(store):
    assert (
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 2**20
    )  # in KiB, the largest child


def test_every_unit_is_there(store):
    counts = {
        m: len(list(store.committed(m)))
        for m in ("ngram", "convergence", "weights", "curvature", "llc")
    }
    assert counts == {"ngram": 1, "convergence": 5, "weights": 15, "curvature": 5, "llc": 2}


def test_seeds_start_at_the_initialisations_divergence(divergence):
    for steps in divergence.values():
        assert mean_kl(steps[0]) == pytest.approx(0.40, abs=0.02)


def test_seeds_converge_and_then_diverge(divergence):
    for model, steps in divergence.items():
        kl = np.stack([steps[step].kl.values for step in sorted(steps)])
        weights = steps[0].tokens.values
        mean = jackknife.theta(kl, weights)
        turns = fall_and_rise(Curve.with_sem(model, sorted(steps), mean, 0 * mean, ""), kl, weights)
        assert mean[turns.lowest] < 0.30
        assert turns.fall.errors > 3
        assert turns.rise.errors > 3


def test_convergence_is_near_the_unigram_stage(divergence):
    """Between the lowest divergence's neighbours the predictions are nearest to the unigram's."""
    for steps in divergence.values():
        order = sorted(steps)
        lowest = order.index(min(steps, key=lambda step: mean_kl(steps[step])))
        nearest = order.index(min(steps, key=lambda step: float(steps[step].kl_unigram.mean())))
        assert abs(lowest - nearest) <= 1


def test_it_beats_the_bigram(store, divergence):
    ((_, yardstick),) = store.committed("ngram")
    steps = divergence["nano-64"]
    last = steps[max(steps)]
    loss = float((last.surprisal * last.tokens).sum() / last.tokens.sum() / last.sizes["seed"])
    assert loss < float(yardstick.cross_entropy.sel(order=2)) - 0.1


def test_loss_falls_and_llc_is_judged(store):
    estimates = {unit.step: data for unit, data in store.committed("llc")}
    first, last = estimates[16], estimates[640]
    assert first.attrs["verdict"] == "off a minimum"
    assert float(first.llc) < 0  # chains fall
    assert last.attrs["verdict"] == "local"
    assert float(last.llc) > 5 * float(last.sem)
    assert all(float(data.eps_a) < 4 for data in estimates.values())


def test_initial_weights_are_pythias(store):
    unit, data = next(iter(store.committed("weights")))
    assert unit.step == 0
    assert float(data.sd.sel(matrix="embed_in")) == pytest.approx((2 / (5 * 64)) ** 0.5, rel=0.02)
    assert abs(float(data.excess_kurtosis.sel(matrix="embed_in"))) < 5 * np.sqrt(24 / (2048 * 64))

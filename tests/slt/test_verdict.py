"""Verdicts on synthetic chains whose story is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import slt
from dynamics.errors import InputError
from dynamics.slt import gradient, verdict
from dynamics.slt.diagnostics import Mixing


def bound(product: float, smallest: float = 0.0):
    """Of a step with epsilon a = product along a top eigenvalue of 1."""
    return slt.assess_stability(slt.Constants(product, 1.0, 0.0), slt.SpectrumEnds(1.0, smallest))


MIXED = Mixing(rhat=1.0, ess=1000.0, per_chain=100.0, growth=1.0, spreading=False)


def judged(**changes):
    """The verdict on healthy chains, but for `changes`."""
    healthy = {
        "llc": -1.0 if changes.get("descent") else 1.0,
        "locality": "local",
        "descent": None,
        "mixing": MIXED,
        "stability": bound(0.1),
        "init_loss": 2.0,
        "chain_loss": 2.0,
        "trivial_loss": 4.125,
        "relative_distance": 0.1,
        "localization_share": 0.2,
    }
    return verdict.judge(**{**healthy, **changes})


@pytest.mark.parametrize(
    ("chain_loss", "init_loss", "init_sem", "trivial_loss", "expected"),
    [
        (4.43, 2.0, 0.02, 4.125, "left the basin"),  # the released regression run
        (11.4, 3.5, 0.05, np.log(5000), "left the basin"),  # the released language model
        (2.1, 2.0, 0.02, 4.125, "local"),
        (4.43, 4.10, 0.02, 4.125, "no basin to leave"),  # below by one standard error only
        (4.43, 4.45, 0.02, 4.125, "no basin to leave"),
        (4.43, 4.10, np.nan, 4.125, "left the basin"),  # whole data: l(w*) has no error
        (9.0, 2.0, 0.02, None, "unchecked"),
    ],
)
def test_locality(chain_loss, init_loss, init_sem, trivial_loss, expected):
    assert verdict.judge_locality(chain_loss, init_loss, init_sem, trivial_loss) == expected


def test_a_chain_that_leaves_a_bounded_basin_is_caught():
    """Noise drives chains from a narrow well to a plateau; the estimate is the plateau's height."""

    def well(w, batch):
        return 4.43 - 3.0 * jnp.exp(-0.5 * jnp.sum(w**2) / 0.05**2)

    settings = {
        "step_size": 0.01,
        "nbeta": 10.0,
        "localization": 0.1,
        "num_chains": 8,
        "num_draws": 300,
        "burn_in": 100,
    }
    data = np.zeros((2, 1), np.float32)
    got = slt.estimate_llc(
        well,
        jnp.ones(8) * 0,
        data,
        jax.random.key(0),
        slt.SGLD(**settings),
        trivial_loss=4.125,
        on_unstable="report",  # the step is far beyond the bound of so narrow a well
    )
    assert got.verdict.state == "left the basin"
    assert got.llc == pytest.approx(10 * (4.43 - 1.43), rel=0.02)
    assert "left the model" in got.verdict.sentence


def test_order_of_findings():
    assert judged().state == "local"
    assert judged(locality="left the basin", descent="escaped").state == "left the basin"
    assert judged(locality="no basin to leave", descent="off a minimum").warnings == ("negative",)
    assert judged(locality="unchecked", descent="escaped").state == "escaped"
    assert judged(locality="local", descent="off a minimum").state == "off a minimum"


def test_warnings_are_named_in_the_sentence():
    assert judged().warnings == ()
    got = judged(mixing=MIXED._replace(rhat=1.3), stability=bound(1.0))
    assert got.warnings == ("not converged", "biased")
    assert "Beware: not converged, biased" in got.sentence
    assert judged(mixing=MIXED._replace(rhat=float("nan"))).warnings == ("convergence unknown",)
    assert judged(mixing=MIXED._replace(per_chain=49.0)).warnings == ("too few draws",)
    assert judged(mixing=MIXED._replace(spreading=True)).warnings == ("still spreading",)
    assert judged(descent="escaped", stability=bound(0.1, smallest=-2.0)).warnings == (
        "negative",
    )  # a saddle
    assert judged(stuck=True).warnings == ("stuck",)
    assert judged(descent="escaped", stability=bound(0.1, smallest=-5.0)).warnings == (
        "negative",
        "wrong sign",
    )
    assert judged(descent="escaped", init_loss=-1.0).warnings == ("negative", "wrong sign")


def test_chains_that_drift_have_not_converged():
    def plane(w, batch):
        return jnp.sum(w)

    settings = {
        "step_size": 1e-4,
        "nbeta": 100.0,
        "localization": 1.0,
        "num_chains": 8,
        "num_draws": 200,
    }
    data = np.zeros((2, 1), np.float32)
    got = slt.estimate_llc(plane, jnp.zeros(2), data, jax.random.key(0), slt.SGLD(**settings))
    assert got.rhat > 1.1
    assert "not converged" in got.verdict.warnings
    exact = -verdict.gradient_drop(2**0.5, slt.Constants(1e-4, 100.0, 1.0), np.arange(200))
    assert abs(got.llc - exact) < 4 * got.sem
    assert got.verdict.state == "off a minimum"


def test_gradient_drop_limits():
    steps = np.arange(100_000)
    settled = verdict.gradient_drop(0.3, slt.Constants(1e-3, 100.0, 10.0), steps[50_000:])
    assert settled == pytest.approx((100 * 0.3) ** 2 / 10)  # the plane's posterior mean
    early = verdict.gradient_drop(0.3, slt.Constants(1e-3, 100.0, 10.0), np.array([1]))
    assert early == pytest.approx((100 * 0.3) ** 2 * 1e-3 / 2)  # one step of the drift
    free = verdict.gradient_drop(0.3, slt.Constants(1e-3, 100.0, 0.0), np.array([7]))
    assert free == pytest.approx(7 * (100 * 0.3) ** 2 * 1e-3 / 2)


def test_minibatch_noise_is_no_gradient():
    """At a minimum every batch has a gradient; the estimate of the whole one must not see it."""

    def mean_square(w, batch):
        return jnp.mean((batch - w[None]) ** 2)

    data = np.random.default_rng(0).normal(size=(256, 4)).astype(np.float32)
    sampler = slt.SGLD(step_size=1e-3, localization=1.0, num_chains=512, num_draws=2, batch_size=8)
    at_minimum = gradient.gradient_norm(mean_square, data.mean(0), data, jax.random.key(0), sampler)
    typical = np.sqrt(4 * 4 * data.var() / 8 / 16)  # sqrt(E|g_B - g|^2), g = (2/4)(w - mean)
    assert at_minimum < 0.2 * typical
    off = gradient.gradient_norm(mean_square, data.mean(0) + 1, data, jax.random.key(0), sampler)
    assert off == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize(
    ("eps_a", "state"), [(0.4, "stable"), (0.41, "biased"), (3.99, "biased"), (4.01, "unstable")]
)
def test_stability_bands(eps_a, state):
    got = slt.assess_stability(slt.Constants(eps_a / 101, 100.0, 1.0), 1.0)
    assert got.state == state
    assert got.step_curvature == pytest.approx(eps_a)
    assert got.bias_factor == pytest.approx(1 / (1 - eps_a / 4) if eps_a < 4 else np.inf)


def test_stability_without_a_bound():
    assert slt.assess_stability(slt.Constants(1.0, 100.0, 1.0), None).state == "unknown"
    assert slt.assess_stability(slt.Constants(1.0, 100.0, 1.0), -3.0).state == "unknown"
    with pytest.raises(InputError, match="top_eigenvalue"):
        slt.assess_stability(slt.Constants(1.0, 100.0, 1.0), float("nan"))

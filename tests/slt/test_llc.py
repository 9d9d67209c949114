"""Estimates against closed forms: what SGLD must give on landscapes whose answer is known.

Axes: C chains, d weights, N data items. The exact values are those of the chain itself where it is
linear, and of the posterior where it is not; SGLD's bias is linear in epsilon.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import slt
from dynamics.errors import ChainError, InputError

pytestmark = pytest.mark.computes

CURVATURE = (0.1, 1.0, 10.0)
NO_DATA = np.zeros((2, 1), np.float32)


@functools.cache
def quadratic(h: tuple, slope: float = 0.0):
    """l = slope sum w + 1/2 sum h w^2, whatever the data."""
    return lambda w, batch: slope * w.sum() + 0.5 * jnp.sum(jnp.asarray(h) * w**2)


def crossing(w, batch):
    """(w1 w2)^2: the simplest singular minimum."""
    return (w[0] * w[1]) ** 2


def least_squares(w, batch):
    """Mean over the batch of |x . w - y|^2 / 2."""
    x, y = batch
    return jnp.mean((x @ w - y) ** 2) / 2


def finite_chain(h, *, nbeta, gamma, eps, start, draws):
    """Mean and error of a chain's estimate on a quadratic, draws start .. start + draws - 1."""
    h = np.asarray(h)
    a = nbeta * h + gamma
    rho, v = 1 - eps * a / 2, 1 / (a * (1 - eps * a / 4))
    transient = rho ** (2 * start) * (1 - rho ** (2 * draws)) / (draws * (1 - rho**2))
    mean = np.sum(nbeta * h * v / 2 * (1 - transient))
    variance = np.sum((nbeta * h * v) ** 2 / 2 * (1 + rho**2) / (1 - rho**2)) / draws
    return mean, np.sqrt(variance)


def estimate(
    loss_fn,
    start,
    seed=0,
    data=NO_DATA,
    trivial_loss=None,
    top_eigenvalue=None,
    on_unstable="refuse",
    **settings,
):
    sampler = slt.SGLD(**{"localization": 1.0, "num_chains": 20, "num_draws": 1000, **settings})
    return slt.estimate_llc(
        loss_fn,
        start,
        data,
        jax.random.key(seed),
        sampler,
        trivial_loss=trivial_loss,
        top_eigenvalue=top_eigenvalue,
        on_unstable=on_unstable,
    )


@pytest.mark.parametrize(("eps", "exact"), [(1e-3, 1.6298), (2e-3, 1.9784)])
def test_quadratic_is_the_finite_chain(eps, exact):
    mean, one_chain = finite_chain(CURVATURE, nbeta=100, gamma=1, eps=eps, start=500, draws=2000)
    assert mean == pytest.approx(exact, abs=1e-4)
    got = estimate(
        quadratic(CURVATURE),
        jnp.zeros(3),
        step_size=eps,
        nbeta=100,
        num_chains=64,
        num_draws=2500,
        burn_in=500,
    )
    assert abs(got.llc - exact) < 4 * got.sem
    assert got.sem == pytest.approx(one_chain / 8, rel=0.35)  # the SD of 64 values is known to 9 %
    assert got.rhat < 1.05
    assert got.verdict.localization_share == pytest.approx(0.036, abs=0.006)


def test_short_chain_starts_at_the_checkpoint():
    mean, _ = finite_chain((1.0,), nbeta=100, gamma=1, eps=1e-3, start=0, draws=20)
    got = estimate(
        quadratic((1.0,)), jnp.zeros(1), step_size=1e-3, nbeta=100, num_chains=4000, num_draws=20
    )
    assert abs(got.llc - mean) < 4 * got.sem
    assert (got.loss_trace[:, 0] == 0).all()
    assert (got.distance[:, 0] == 0).all()


def test_off_a_minimum_is_negative_and_says_so():
    settings = {
        "step_size": 1e-3,
        "nbeta": 100,
        "localization": 10.0,
        "num_draws": 3000,
        "burn_in": 500,
    }
    got = estimate(
        quadratic((1.0,), 0.3), jnp.zeros(1), trivial_loss=1.0, num_chains=64, **settings
    )
    assert abs(got.llc + 3.9954) < 4 * got.sem
    assert got.verdict.state == "off a minimum"
    assert "negative" in got.verdict.warnings


def test_escape_from_a_saddle_is_no_gradient():
    def double_well(w, batch):
        return jnp.sum((w**2 - 1) ** 2)

    got = estimate(
        double_well, jnp.zeros(1), step_size=1e-3, nbeta=30, trivial_loss=5.0, num_draws=1500
    )
    assert got.llc < -10
    assert got.verdict.state == "escaped"


@pytest.mark.long
def test_step_size_bias_is_linear():
    posterior = 100 / (2 * 101)
    biases, errors = [], []
    for eps in (1e-3, 2e-3, 4e-3):
        settings = {
            "step_size": eps,
            "nbeta": 100,
            "num_chains": 2000,
            "num_draws": 2200,
            "burn_in": 200,
        }
        got = estimate(quadratic((1.0,)), jnp.zeros(1), **settings)
        biases.append(got.llc - posterior)
        errors.append(got.sem)
    slopes = np.array(biases) / [1e-3, 2e-3, 4e-3]
    assert slopes[0] == pytest.approx(posterior * 101 / 4, rel=0.03, abs=4 * errors[0] / 1e-3)
    second_order = 101 / 4 * np.array([1e-3, 2e-3, 4e-3])  # 1/(1-x) - 1 = x (1 + x + ...)
    assert np.allclose(slopes * (1 - second_order), slopes[0] * (1 - second_order[0]), rtol=0.3)


def test_standard_error_is_of_the_mean_over_chains():
    got = estimate(
        quadratic(CURVATURE), jnp.zeros(3), step_size=1e-3, nbeta=100, num_chains=7, num_draws=50
    )
    assert got.llc == pytest.approx(got.per_chain.mean())
    assert got.sem == pytest.approx(got.per_chain.std(ddof=1) / 7**0.5)
    single = estimate(
        quadratic(CURVATURE), jnp.zeros(3), step_size=1e-3, nbeta=100, num_chains=1, num_draws=50
    )
    assert np.isnan(single.sem)
    assert "convergence unknown" in single.verdict.warnings


def test_running_trace_ends_at_the_estimate():
    got = estimate(
        quadratic(CURVATURE), jnp.zeros(3), step_size=1e-3, nbeta=100, num_draws=50, burn_in=10
    )
    assert got.llc_trace.shape == (20, 40)
    np.testing.assert_allclose(got.llc_trace[:, -1], got.per_chain, rtol=1e-12)
    step = np.diff(got.llc_trace * np.arange(1, 41)[None], axis=1)  # A.4.4, equation 12
    np.testing.assert_allclose(
        step, 100 * (got.loss_trace[:, 11:].astype(float) - got.init_loss), rtol=1e-6, atol=1e-9
    )


@pytest.fixture(scope="module")
def regression():
    """A least-squares problem at its minimum: x [N,3], y [N], w* [3]."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 3)) * [0.3, 1, 3]
    y = x @ [1.0, -1.0, 0.5] + rng.normal(size=512)
    w = np.linalg.lstsq(x, y, rcond=None)[0]
    return (x.astype(np.float32), y.astype(np.float32)), w.astype(np.float32)


@pytest.mark.long
def test_same_batch_baseline_is_unbiased_and_quieter(regression):
    data, w = regression
    settings = {
        "step_size": 2e-4,
        "nbeta": 100,
        "num_chains": 40,
        "num_draws": 1500,
        "burn_in": 300,
        "batch_size": 128,
    }
    hessian = np.linalg.eigvalsh(data[0].T @ data[0] / 512)
    exact, _ = finite_chain(hessian, nbeta=100, gamma=1, eps=2e-4, start=300, draws=1200)
    got = {
        b: estimate(least_squares, w, data=data, baseline=b, **settings)
        for b in ("same_batch", "fixed", "recycled")
    }
    # Gradient noise widens the stiffest direction: its variance is that of 1/m of the residuals.
    noise = 2e-4 / 4 * 100**2 / 128
    for name in ("same_batch", "fixed"):
        widened = exact + np.sum(
            100 * hessian**2 * noise / 2 / (100 * hessian + 1) / (1 - 2e-4 * 100 * hessian / 4)
        )
        assert abs(got[name].llc - widened) < 4 * got[name].sem + 0.02
    assert got["same_batch"].sem < got["fixed"].sem
    assert abs(got["recycled"].llc - got["fixed"].llc) < 4 * 100 * got["recycled"].init_loss_sem
    full = least_squares(w, data)
    for estimated in got.values():
        assert abs(estimated.init_loss - full) < 4 * estimated.init_loss_sem


def test_a_noisy_shared_baseline_is_no_escape(regression):
    """Two batches at w* can read far above l(w*): chains that hardly move agree on a value < 0."""
    data, w = regression
    settings = {"step_size": 1e-7, "nbeta": 100, "num_chains": 2, "num_draws": 400, "batch_size": 8}
    runs = [
        estimate(least_squares, w, seed, data=data, baseline="recycled", **settings)
        for seed in range(8)
    ]
    assert any(run.llc < -3 * run.sem for run in runs)
    assert not any(run.verdict.state in ("escaped", "off a minimum") for run in runs)


@pytest.mark.long
def test_error_of_a_recycled_baseline_is_that_of_drawing_it(regression):
    """Over keys, estimates scatter by their stated error; the data's own is in both losses."""
    data, w = regression
    settings = {
        "num_draws": 200,
        "burn_in": 100,
        "batch_size": 128,
        "baseline": "recycled",
        "nbeta": 50,
    }
    runs = [
        estimate(least_squares, w, seed, data=data, step_size=1e-5, **settings)
        for seed in range(40)
    ]
    stated = np.mean([np.hypot(run.sem, run.shared_sem) for run in runs])
    assert np.std([run.llc for run in runs], ddof=1) == pytest.approx(
        stated, rel=0.35
    )  # 3 SD of a spread of 40


@pytest.mark.long
def test_error_of_a_difference_knows_the_shared_baseline(regression):
    data, w = regression
    settings = {
        "num_draws": 100,
        "burn_in": 50,
        "batch_size": 128,
        "baseline": "recycled",
        "nbeta": 50,
    }

    def difference(seed):
        pair = (
            estimate(least_squares, at, seed, data=data, step_size=1e-5, **settings)
            for at in (w, w + 0.3)
        )
        return slt.difference(*pair)

    differences = [difference(seed) for seed in range(40)]
    spread = np.std([change.llc for change in differences], ddof=1)
    assert spread == pytest.approx(np.mean([change.sem for change in differences]), rel=0.35)


def test_noise_of_one_chain_is_no_escape(regression):
    """At a low temperature the minibatches' noise makes half of all estimates negative."""
    data, w = regression
    settings = {"num_chains": 1, "num_draws": 200, "batch_size": 8, "baseline": "fixed", "nbeta": 1}
    runs = [
        estimate(least_squares, w, seed, data=data, step_size=1e-9, **settings) for seed in range(8)
    ]
    assert min(run.llc for run in runs) < 0
    assert {run.verdict.state for run in runs} == {"unchecked"}


def test_a_run_of_hardly_any_draws_says_so():
    for draws in (1, 2, 4):
        got = estimate(
            quadratic(CURVATURE),
            jnp.zeros(3),
            step_size=1e-3,
            nbeta=100,
            num_chains=4,
            num_draws=draws,
        )
        assert "too few draws" in got.verdict.warnings


@pytest.mark.long
def test_default_temperature_and_batch(regression):
    data, w = regression
    got = estimate(
        least_squares, w, data=data, step_size=1e-4, num_draws=8, batch_size=100, num_chains=2
    )
    assert got.nbeta == pytest.approx(21.7147, abs=1e-4)
    whole = estimate(
        least_squares, w, data=data, step_size=1e-4, num_draws=8, batch_size=512, num_chains=2
    )
    assert whole.loss_trace[:, 0] == pytest.approx(float(least_squares(w, data)), rel=1e-6)


def test_one_compilation_across_checkpoints_and_settings():
    traced = []

    def loss(w, batch):
        traced.append(1)
        return jnp.mean((batch - w[None]) ** 2)

    data = np.arange(24, dtype=np.float32).reshape(12, 2) / 24
    settings = {"nbeta": 5.0, "num_chains": 3, "num_draws": 6, "batch_size": 4}
    minimum = data.mean(axis=0)
    estimate(loss, minimum, data=data, step_size=1e-3, **settings)
    first = len(traced)
    for checkpoint in range(1, 4):
        estimate(
            loss, minimum + 0.01 * checkpoint, data=data, step_size=1e-3 / checkpoint, **settings
        )
    assert 0 < first == len(traced)


def test_diverging_chains_are_refused():
    settings = {"step_size": 1e-2, "nbeta": 1000, "num_chains": 4, "num_draws": 400}
    with pytest.raises(ChainError, match=r"of 4 chains non-finite \(chain .* first at draw \d+"):
        estimate(quadratic(CURVATURE), jnp.zeros(3), **settings)
    with pytest.raises(ChainError, match="Draw 0 is the checkpoint itself"):
        estimate(quadratic(CURVATURE), jnp.full(3, jnp.nan), **settings)


def test_stability_bound_refuses_and_reports():
    settings = {"nbeta": 100, "num_chains": 4, "num_draws": 20}  # a = 1001
    with pytest.raises(ChainError, match="diverge"):
        estimate(
            quadratic(CURVATURE), jnp.zeros(3), step_size=4 / 1001, top_eigenvalue=10.0, **settings
        )
    reported = estimate(
        quadratic(CURVATURE),
        jnp.zeros(3),
        step_size=5e-3,
        top_eigenvalue=10.0,
        on_unstable="report",
        **settings,
    )
    assert reported.stability.state == "unstable"
    assert "unstable" in reported.verdict.warnings
    biased = estimate(
        quadratic(CURVATURE), jnp.zeros(3), step_size=1e-3, top_eigenvalue=10.0, **settings
    )
    assert biased.stability.state == "biased"
    assert biased.stability.bias_factor == pytest.approx(1.334, abs=1e-3)
    assert (
        estimate(quadratic(CURVATURE), jnp.zeros(3), step_size=1e-3, **settings).stability.state
        == "unknown"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step_size": -1.0}, "step_size"),
        ({"step_size": 1e-3, "burn_in": 1000}, "burn_in"),
        ({"step_size": 1e-3, "batch_size": 3}, "at most the 2 data items"),
        ({"step_size": 1e-3, "batch_size": 1}, "m/log m"),
        ({"step_size": 1e-3, "baseline": "same"}, "same_batch"),
        ({"step_size": 1e-3, "on_unstable": "ignore"}, "refuse"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        estimate(quadratic(CURVATURE), jnp.zeros(3), **settings)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"w": np.zeros(2, np.float32), "count": np.int32(3)}, "leaf count"),
        ({"w": np.zeros(2, np.float32), "dead": np.zeros(2, bool)}, "leaf dead"),
        (np.zeros(2, np.complex64), "the only one"),
        ({"w": np.zeros((0, 2), np.float32)}, "no leaf holds a number"),
        ({}, "no leaf holds a number"),
    ],
)
def test_params_that_are_no_weights_are_refused(params, named):
    """Noise would move a counter or an index, and the estimate would not be of the model."""
    with pytest.raises(InputError, match=named):
        estimate(lambda params, batch: jnp.float32(0), params, step_size=1e-3)
    sampler = slt.SGLD(step_size=1e-3, localization=1.0, num_chains=2, num_draws=4)
    with pytest.raises(InputError, match=named):
        next(
            slt.estimate_llc_curve(
                lambda p, b: jnp.float32(0), [params], NO_DATA, jax.random.key(0), sampler
            )
        )


def test_bad_inputs_are_refused():
    sampler = slt.SGLD(step_size=1e-3, nbeta=1.0, localization=1.0, num_chains=2, num_draws=4)
    with pytest.raises(InputError, match=r"jax\.random\.key"):
        slt.estimate_llc(crossing, jnp.zeros(2), NO_DATA, jax.random.PRNGKey(0), sampler)
    for key in (7, jax.random.split(jax.random.key(0), 2)):
        with pytest.raises(InputError, match="one typed key"):
            slt.estimate_llc(
                crossing, jnp.zeros(2), NO_DATA, key, sampler, top_eigenvalue="measure"
            )
    with pytest.raises(InputError, match="measure"):
        slt.estimate_llc(
            crossing, jnp.zeros(2), NO_DATA, jax.random.key(0), sampler, top_eigenvalue="mesure"
        )
    probes = {"some": NO_DATA, "none": NO_DATA[:0]}
    with pytest.raises(InputError, match="probes without items: none"):
        slt.estimate_llc(
            crossing,
            jnp.zeros(2),
            NO_DATA,
            jax.random.key(0),
            sampler,
            probes=probes,
            per_item_fn=lambda w, items: items.sum(1),
        )
    with pytest.raises(InputError, match="leading axes"):
        slt.estimate_llc(crossing, jnp.zeros(2), (NO_DATA, NO_DATA[:1]), jax.random.key(0), sampler)

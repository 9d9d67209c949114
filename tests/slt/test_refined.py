"""Identities of refined estimates: parts, units, microbatches, probes, curves, comparisons."""

import dataclasses
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models, restrict, slt
from dynamics.errors import ChainError, InputError
from dynamics.measures import surprisal
from dynamics.models import gpt_neox

CONFIG = gpt_neox.Config(
    hidden_size=16, num_layers=2, num_heads=2, intermediate_size=32, vocab_size=61
)
SAMPLER = slt.SGLD(
    step_size=1e-5, nbeta=100.0, localization=10.0, num_chains=2, num_draws=12, batch_size=4
)


def net_loss(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["hidden"]) @ params["out"] - y) ** 2)


def net_loss_of_any(params, batch):
    return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(params))


def item_losses(params, batch):
    x, y = batch
    return (jnp.tanh(x @ params["hidden"]) @ params["out"] - y) ** 2


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(1)
    data = (rng.normal(size=(64, 3)).astype(np.float32), rng.normal(size=64).astype(np.float32))
    return {
        "hidden": rng.normal(size=(3, 8)).astype("f4"),
        "out": rng.normal(size=8).astype("f4"),
    }, data


def estimate(problem, sampler=SAMPLER, loss=net_loss, **options):
    return slt.estimate_llc(loss, *problem, jax.random.key(3), sampler, **options)


@pytest.mark.long
def test_head_of_a_language_model():
    """Only the chosen head moves, and as far as noise of that many weights goes."""
    params = jax.jit(models.init, static_argnums=1)(jax.random.key(0), CONFIG)
    tokens = np.random.default_rng(0).integers(0, 61, (16, 12), dtype=np.int32)
    mask = restrict.select(CONFIG, "layers.1.attention.heads.0")
    short = dataclasses.replace(SAMPLER, localization=0.0, step_size=1e-8, num_draws=40)
    estimated = estimate((params, tokens), short, surprisal.loss_fn(CONFIG), mask=mask)
    assert estimated.num_free == restrict.size(CONFIG, mask) == 16 * 3 * 8 + 3 * 8 + 8 * 16
    walked = math.sqrt(39 * 1e-8 * estimated.num_free)  # a free walk of 39 steps
    assert estimated.distance[:, -1] == pytest.approx(walked, rel=0.15)


@pytest.mark.long
def test_language_model_wrapper_is_the_plain_call():
    params = jax.jit(models.init, static_argnums=1)(jax.random.key(0), CONFIG)
    tokens = np.random.default_rng(0).integers(0, 61, (16, 12), dtype=np.int32)
    plain = estimate((params, tokens), loss=surprisal.loss_fn(CONFIG))
    problem = (CONFIG, params, tokens, jax.random.key(3), SAMPLER)
    wrapped = slt.estimate_language_model_llc(*problem, probes={"two": tokens[:2]})
    np.testing.assert_allclose(wrapped.loss_trace, plain.loss_trace, rtol=1e-6)
    assert wrapped.probes["two"].shape == (2, 12, 2, 11)
    assert wrapped.stability.state != "unknown"
    assert wrapped.verdict.trivial_loss == pytest.approx(math.log(61))
    with pytest.raises(InputError, match=r"Did you mean layers\.0-1\.mlp"):
        slt.estimate_language_model_llc(*problem, parts=["layers.1.mpl"])
    with pytest.raises(InputError, match="vocabulary"):
        slt.estimate_language_model_llc(CONFIG, params, tokens + 61, jax.random.key(3), SAMPLER)
    for wrong in (tokens[0], tokens[:, :1], tokens.astype(np.float32)):
        with pytest.raises(InputError, match=r"integers \[N,T\]"):
            slt.estimate_language_model_llc(CONFIG, params, wrong, jax.random.key(3), SAMPLER)
    by_name, by_list = (slt.part_mask(CONFIG, parts) for parts in ("embed", ["embed"]))
    chex.assert_trees_all_equal(by_name, by_list)
    assert slt.part_mask(CONFIG, ()) is None


@pytest.mark.long
def test_restricted_chain_is_the_smaller_problem(problem):
    """Masking a leaf is the same as a model that has it built in; the others' noise is the same."""
    params, data = problem
    mask = {"hidden": np.zeros((1, 1)), "out": np.ones(1)}

    def built_in(free, batch):
        return net_loss({"hidden": params["hidden"], "out": free["out"]}, batch)

    masked = estimate(problem, mask=mask)
    alone = slt.estimate_llc(built_in, {"out": params["out"]}, data, jax.random.key(3), SAMPLER)
    np.testing.assert_allclose(masked.loss_trace, alone.loss_trace, rtol=2e-5)
    np.testing.assert_allclose(masked.distance, alone.distance, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"hidden": np.zeros((3, 1)), "out": np.zeros(1)}, "frees no weight"),
        ({"hidden": np.ones((2, 1)), "out": np.ones(1)}, "broadcasts"),
        ({"hidden": np.full((3, 1), 0.5), "out": np.ones(1)}, "other values"),
        ({"hidden": np.ones((3, 1))}, "another structure"),
    ],
)
def test_bad_masks_are_refused(problem, mask, message):
    with pytest.raises(InputError, match=message):
        estimate(problem, mask=mask)


@pytest.mark.long
def test_microbatches_change_nothing_but_rounding(problem):
    whole, parts = (estimate(problem, dataclasses.replace(SAMPLER, accumulate=k)) for k in (1, 4))
    np.testing.assert_allclose(parts.loss_trace, whole.loss_trace, rtol=1e-5)
    with pytest.raises(InputError, match="divisor"):
        estimate(problem, dataclasses.replace(SAMPLER, accumulate=3))


@pytest.mark.long
def test_units_of_a_leaf_are_a_change_of_variables(problem):
    """scale_by="leaf" on w is plain SGLD on w / rms(w), the same noise drawn."""
    params, data = problem
    sizes = {name: float(np.sqrt(np.mean(leaf**2))) for name, leaf in params.items()}

    def rescaled(u, batch):
        return net_loss({name: sizes[name] * leaf for name, leaf in u.items()}, batch)

    scaled = estimate(problem, dataclasses.replace(SAMPLER, scale_by="leaf"))
    units = {name: leaf / sizes[name] for name, leaf in params.items()}
    plain = slt.estimate_llc(rescaled, units, data, jax.random.key(3), SAMPLER)
    np.testing.assert_allclose(scaled.loss_trace, plain.loss_trace, rtol=2e-5)
    np.testing.assert_allclose(scaled.offset, plain.distance, rtol=2e-5, atol=1e-6)
    by_weight = estimate(problem, dataclasses.replace(SAMPLER, scale_by="weight"))
    assert not np.allclose(by_weight.loss_trace, scaled.loss_trace)
    zeros = {
        "hidden": params["hidden"],
        "out": 0 * params["out"],
    }  # a leaf of zeros takes the model's typical size
    assert (
        slt.estimate_llc(
            net_loss, zeros, data, jax.random.key(3), dataclasses.replace(SAMPLER, scale_by="leaf")
        )
        .distance[:, -1]
        .min()
        > 0
    )


@pytest.mark.long
def test_fresh_batches_agree_with_the_steps_own(problem):
    """The loss may be read on another batch than the gradient's (Hoogland et al., Fig. A.2)."""
    settings = {
        "num_chains": 16,
        "num_draws": 600,
        "burn_in": 200,
        "step_size": 2e-4,
        "localization": 100.0,
    }
    same = estimate(problem, dataclasses.replace(SAMPLER, **settings))
    fresh = estimate(problem, dataclasses.replace(SAMPLER, **settings, baseline="fresh_batch"))
    assert not np.array_equal(same.loss_trace, fresh.loss_trace)
    assert abs(same.llc - fresh.llc) < 4 * math.hypot(same.sem, fresh.sem)
    assert fresh.loss_trace[:, 0] == pytest.approx(
        fresh.baseline_trace[:, 0], rel=1e-6
    )  # draw 0 is w*


@pytest.mark.long
def test_probe_sets_along_one_chain(problem):
    _, (x, y) = problem
    probes = {"first": (x[:5], y[:5]), "rest": (x[5:], y[5:])}
    whole = dataclasses.replace(SAMPLER, batch_size=None)
    watched = estimate(problem, whole, probes=probes, per_item_fn=item_losses)
    assert watched.probes["first"].shape == (2, 12, 5)
    together = np.concatenate([watched.probes["first"], watched.probes["rest"]], axis=2)
    np.testing.assert_allclose(together.mean(2), watched.loss_trace, rtol=1e-5)
    plain = estimate(problem, whole)
    np.testing.assert_array_equal(
        plain.loss_trace, watched.loss_trace
    )  # being watched changes no chain
    default = estimate(problem, whole, per_item_fn=item_losses)
    np.testing.assert_allclose(default.probes["data"], together, rtol=1e-5)
    with pytest.raises(InputError, match="per_item_fn"):
        estimate(problem, probes=probes)


def test_covariance_and_susceptibility_are_those_of_the_posterior():
    """On l_i = (w - x_i)^2/2 the posterior is Gaussian.

    So Cov(l_i, l_j) = v^2/2 + (m - x_i)(m - x_j) v.
    """
    x = np.asarray([-0.5, 0.2, 0.3], np.float32)

    def mean_square(w, batch):
        return jnp.mean((w[0] - batch) ** 2) / 2

    def squares(w, batch):
        return (w[0] - batch) ** 2 / 2

    sampler = slt.MALA(
        step_size=5e-3,
        nbeta=100.0,
        localization=1e-3,
        num_chains=64,
        num_draws=900,
        burn_in=100,
        thinning=4,
    )
    center = jnp.zeros(1)  # the mean of x
    estimated = slt.estimate_llc(
        mean_square, center, x, jax.random.key(0), sampler, per_item_fn=squares
    )
    variance, gap = 1 / 100.0, -x.astype(np.float64)
    exact = variance**2 / 2 + np.outer(gap, gap) * variance
    covariance = slt.loss_covariance(estimated, "data")
    assert (np.abs(covariance.value - exact) < 5 * covariance.sem + 1e-6).all()
    response = slt.susceptibility(estimated, "data", "data")
    assert (
        np.abs(response.value - -(exact - exact.mean(1, keepdims=True)).mean(0))
        < 5 * response.sem + 1e-6
    ).all()
    assert response.value.sum() == pytest.approx(
        0, abs=1e-7
    )  # answers to items that make up the whole cancel
    itself = slt.susceptibility(estimated, "data", "data", full=estimated)
    np.testing.assert_allclose(itself.value, response.value, atol=2e-5)
    with pytest.raises(InputError, match="probe set"):
        slt.loss_covariance(estimated, "dat")


@pytest.mark.long
def test_curve_in_groups_is_the_curve_one_by_one(problem):
    params, data = problem
    checkpoints = [jax.tree.map(lambda leaf, k=k: leaf * (1 + 0.1 * k), params) for k in range(3)]
    single = [estimate((checkpoint, data)) for checkpoint in checkpoints]
    for at_once in (1, 2, 3):
        grouped = list(
            slt.estimate_llc_curve(
                net_loss, checkpoints, data, jax.random.key(3), SAMPLER, at_once=at_once
            )
        )
        for alone, in_group in zip(single, grouped, strict=True):
            np.testing.assert_allclose(in_group.loss_trace, alone.loss_trace, rtol=1e-5)
    own = list(
        slt.estimate_llc_curve(
            net_loss, checkpoints, data, jax.random.key(3), SAMPLER, common_noise=False
        )
    )
    assert not np.allclose(own[0].loss_trace, single[0].loss_trace)


def test_curve_keeps_what_came_before_a_bad_checkpoint(problem):
    params, data = problem
    broken = {**params, "out": params["out"] * np.nan}
    estimates = slt.estimate_llc_curve(net_loss, [params, broken], data, jax.random.key(3), SAMPLER)
    assert np.isfinite(next(estimates).llc)
    with pytest.raises(ChainError, match=r"checkpoint 1: .*leaf out"):
        next(estimates)


def test_a_curve_is_of_one_model(problem):
    params, data = problem
    for other in ({**params, "out": params["out"][:5]}, {**params, "bias": params["out"]}):
        with pytest.raises(InputError, match="one model throughout"):
            list(
                slt.estimate_llc_curve(
                    net_loss_of_any, [params, other], data, jax.random.key(3), SAMPLER, at_once=2
                )
            )
    with pytest.raises(InputError, match="on_unstable"):
        next(
            slt.estimate_llc_curve(
                net_loss, [params], data, jax.random.key(3), SAMPLER, on_unstable="warn"
            )
        )  # type: ignore


@pytest.mark.long
def test_only_like_is_compared(problem):
    params, data = problem
    other = jax.tree.map(lambda leaf: leaf * 1.01, params)
    first, second = estimate(problem), estimate((other, data))
    change = slt.difference(first, second)
    assert change.llc == pytest.approx(second.llc - first.llc)
    assert change.sem < math.hypot(first.sem, second.sem)  # common noise cancels
    for setting, value in (
        ("nbeta", 50.0),
        ("localization", 1.0),
        ("step_size", 2e-5),
        ("scale_by", "leaf"),
    ):
        unlike = estimate(problem, dataclasses.replace(SAMPLER, **{setting: value}))
        with pytest.raises(InputError, match=setting):
            slt.difference(first, unlike)
    shared = {field.name: getattr(SAMPLER, field.name) for field in dataclasses.fields(slt.Sampler)}
    thermostat = estimate(problem, slt.SGNHT(**shared))
    with pytest.raises(InputError, match="SGNHT"):
        slt.difference(first, thermostat)


def test_sensitivity_sees_the_steps_bias_and_the_pull():
    """On a quadratic half the step halves the bias, and the pull's effect has a closed form."""

    def quadratic(w, batch):
        return 0.5 * jnp.sum(w**2)

    sampler = slt.SGLD(
        step_size=0.01, nbeta=100.0, localization=20.0, num_chains=400, num_draws=300, burn_in=60
    )
    effects = slt.sensitivity(
        quadratic, jnp.zeros(4), np.zeros((2, 1), np.float32), jax.random.key(0), sampler
    )
    a = 120.0
    step = (1 / (1 - 0.005 * a / 4)) / (1 / (1 - 0.01 * a / 4)) - 1
    pull = (1 / (140 * (1 - 0.01 * 140 / 4))) / (1 / (a * (1 - 0.01 * a / 4))) - 1
    assert abs(effects.step_effect - step) < 4 * effects.step_effect_sem
    assert abs(effects.pull_effect - pull) < 4 * effects.pull_effect_sem
    assert effects.pull_effect_sem < effects.step_effect_sem  # paired against not


def test_wbic_is_the_free_energy_to_first_order():
    """Of n items of l = |w|^2/2 at beta 1/log n: n E l = n l(w*) + lambda log n."""
    n, d = 1000, 6
    sampler = slt.MALA(
        step_size=2e-3,
        nbeta=n / math.log(n),
        localization=0.0,
        num_chains=200,
        num_draws=400,
        burn_in=100,
    )
    estimated = slt.estimate_llc(
        lambda w, b: 0.5 * jnp.sum(w**2) + 0.7,
        jnp.zeros(d),
        np.zeros((2, 1), "f4"),
        jax.random.key(0),
        sampler,
    )
    spread = estimated.sem * math.log(n)
    assert abs(estimated.wbic(n) - (n * 0.7 + d / 2 * math.log(n))) < 4 * spread + 1e-3 * n
    with pytest.raises(InputError, match="nbeta"):
        estimated.wbic(500)


def test_intervals_are_students(problem):
    from scipy import stats

    estimated = estimate(problem, dataclasses.replace(SAMPLER, num_chains=5))
    low, high = estimated.interval(0.9)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.95, 4) * estimated.sem)
    with pytest.raises(InputError, match="level"):
        estimated.interval(95)


def test_a_loss_that_is_no_scalar_is_refused(problem):
    with pytest.raises(InputError, match="scalar"):
        estimate(problem, loss=item_losses)


def test_measured_ends_of_the_spectrum():
    """The top eigenvalue in the sampler's units and over the free weights alone."""
    h = jnp.asarray([1.0, 5.0, 40.0])

    def quadratic(w, batch):
        return 0.5 * jnp.sum(h * w**2)

    sampler = slt.SGLD(
        step_size=1e-3, nbeta=100.0, localization=0.0, num_chains=2, num_draws=4, burn_in=1
    )
    problem = (quadratic, jnp.full(3, 2.0), np.zeros((2, 1), np.float32), jax.random.key(0))
    mask = jnp.asarray([True, True, False])
    scaled = dataclasses.replace(sampler, scale_by="leaf")  # units of 2: curvature times 4
    whole = slt.estimate_llc(*problem, sampler, top_eigenvalue="measure", on_unstable="report")
    masked = slt.estimate_llc(*problem, sampler, top_eigenvalue="measure", mask=mask)
    in_units = slt.estimate_llc(*problem, scaled, top_eigenvalue="measure", mask=mask)
    assert whole.stability.step_curvature == pytest.approx(4.0, rel=1e-3)
    assert masked.stability.step_curvature == pytest.approx(0.5, rel=1e-3)
    assert in_units.stability.step_curvature == pytest.approx(2.0, rel=1e-3)

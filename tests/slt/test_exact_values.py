"""The closed forms against brute force: quadrature, recursions run many times, derivations.

Axes: C chains, T draws.
"""

import numpy as np
import pytest
from scipy import integrate

from dynamics.errors import InputError
from dynamics.slt import exact_values

CURVATURE = (0.1, 1.0, 10.0)
SCALES = {"nbeta": 100.0, "localization": 1.0}


def on_a_line(loss, *, nbeta, localization):
    """n beta E[l] for one even weight, by adaptive quadrature."""

    def weight(w):
        return np.exp(-nbeta * loss(w) - localization / 2 * w**2)

    over, norm = (
        integrate.quad(f, 0, np.inf, epsabs=1e-13)[0]
        for f in (lambda w: nbeta * loss(w) * weight(w), weight)
    )
    return over / norm


def test_quadratic_values_on_record():
    assert exact_values.quadratic_posterior(CURVATURE, **SCALES) == pytest.approx(1.4491, abs=5e-5)
    for eps, stationary, finite in ((1e-3, 1.6299, 1.6298), (2e-3, 1.9784, 1.9784)):
        assert exact_values.quadratic_sgld(CURVATURE, step_size=eps, **SCALES) == pytest.approx(
            stationary, abs=5e-5
        )
        got = exact_values.quadratic_chain(
            CURVATURE, step_size=eps, num_draws=2500, burn_in=500, **SCALES
        )
        assert got.mean == pytest.approx(finite, abs=5e-5)


def test_off_a_minimum_values_on_record():
    settings = {"nbeta": 100, "localization": 10}
    assert exact_values.quadratic_posterior([1], 0.3, **settings) == pytest.approx(
        -4.00826, abs=5e-6
    )
    assert exact_values.quadratic_sgld([1], 0.3, step_size=1e-3, **settings) == pytest.approx(
        -3.9954, abs=5e-5
    )


def test_quadratic_posterior_is_an_integral():
    def loss(w):
        return 0.3 * w + 0.5 * w**2

    def weight(w):
        return np.exp(-20 * loss(w) - 3 / 2 * w**2)

    over = integrate.quad(lambda w: 20 * loss(w) * weight(w), -np.inf, np.inf)[0]
    exact = over / integrate.quad(weight, -np.inf, np.inf)[0]
    assert exact_values.quadratic_posterior([1.0], 0.3, nbeta=20, localization=3) == pytest.approx(
        exact, rel=1e-9
    )


@pytest.mark.parametrize(
    ("slope", "burn_in", "thinning"), [(0.0, 0, 1), (0.0, 7, 3), (0.4, 0, 1), (-0.4, 5, 2)]
)
def test_finite_chains_are_the_recursion_run_many_times(slope, burn_in, thinning):
    h, eps, chains, draws = np.array([0.2, 3.0]), 4e-3, 100_000, 25
    rng, w, means = np.random.default_rng(0), np.zeros((chains, 2)), np.zeros(chains)
    for draw in range(draws):
        if draw >= burn_in:
            means += SCALES["nbeta"] * (slope * w + h / 2 * w**2).sum(axis=1) / (draws - burn_in)
        for _ in range(thinning):
            w = w - eps / 2 * (100 * (slope + h * w) + w) + eps**0.5 * rng.normal(size=w.shape)
    settings = {
        "step_size": eps,
        "num_draws": draws,
        "burn_in": burn_in,
        "thinning": thinning,
        **SCALES,
    }
    got = exact_values.quadratic_chain(h, slope, **settings)
    assert abs(got.mean - means.mean()) < 4 * got.sem / chains**0.5
    assert got.sem == pytest.approx(means.std(), rel=0.015)  # near-Gaussian: known to 0.3 %
    assert exact_values.quadratic_chain(h, slope, num_chains=9, **settings).sem == pytest.approx(
        got.sem / 3
    )


def test_long_chains_reach_the_stationary_value_and_error():
    step, count = 1e-3, 400_000
    got = exact_values.quadratic_chain(CURVATURE, step_size=step, num_draws=count, **SCALES)
    assert got.mean == pytest.approx(
        exact_values.quadratic_sgld(CURVATURE, step_size=step, **SCALES), rel=1e-3
    )
    h = np.array(CURVATURE)
    a = 100 * h + 1
    rho, v = 1 - step * a / 2, 1 / (a * (1 - step * a / 4))
    limit = np.sum((100 * h * v) ** 2 / 2 * (1 + rho**2) / (1 - rho**2)) / count
    assert got.sem == pytest.approx(limit**0.5, rel=2e-3)


def test_small_steps_reach_the_posterior():
    posterior = exact_values.quadratic_posterior(CURVATURE, 0.1, **SCALES)
    biases = [
        exact_values.quadratic_sgld(CURVATURE, 0.1, step_size=e, **SCALES) - posterior
        for e in (1e-5, 1e-6)
    ]
    assert biases[0] / biases[1] == pytest.approx(10, rel=5e-3)


@pytest.mark.parametrize(("nbeta", "recorded"), [(10, 0.22490), (100, 0.24172), (1000, 0.24735)])
def test_quartic(nbeta, recorded):
    got = exact_values.powers_posterior([4], nbeta=nbeta, localization=1)
    assert got == pytest.approx(recorded, abs=1e-5)
    assert got == pytest.approx(on_a_line(lambda w: w**4, nbeta=nbeta, localization=1), rel=1e-9)


@pytest.mark.parametrize("nbeta", [0.1, 1.0, 1e6])
def test_free_powers_are_their_coefficient_at_every_temperature(nbeta):
    assert exact_values.powers_posterior([2, 3, 4], nbeta=nbeta) == pytest.approx(
        13 / 12, rel=1e-12
    )
    assert exact_values.powers_posterior([7.5, 20], nbeta=nbeta) == pytest.approx(
        1 / 7.5 + 1 / 20, rel=1e-8
    )


@pytest.mark.parametrize(("nbeta", "recorded"), [(144.76, 0.36140), (1e3, 0.39027), (1e6, 0.43754)])
def test_crossing(nbeta, recorded):
    got = exact_values.crossing_posterior(nbeta=nbeta, localization=1)
    assert got == pytest.approx(recorded, abs=5e-6)
    assert got == pytest.approx(
        exact_values.monomial_posterior([2, 2], nbeta=nbeta, localization=1), rel=1e-10
    )


def test_crossing_tends_to_one_half_logarithmically():
    gap = [
        0.5 - exact_values.crossing_posterior(nbeta=nbeta, localization=1)
        for nbeta in (1e6, 1e12, 1e24)
    ]
    assert gap[0] > 1.5 * gap[1] > 2.2 * gap[2] > 0.02
    z = 1 / 8e24
    assert gap[2] == pytest.approx(1 / (np.log(2 / z) - np.euler_gamma), rel=1e-3)


def test_monomial_against_one_coordinate_integrated_by_hand():
    """Given w_2 the loss w_1^2 w_2^4 is quadratic, so w_1 drops out and a line integral is left."""
    nbeta = 144.76

    def weight(y):
        return np.exp(-(y**2) / 2) / np.sqrt(2 * nbeta * y**4 + 1)

    over = integrate.quad(lambda y: weight(y) * nbeta * y**4 / (2 * nbeta * y**4 + 1), 0, np.inf)[0]
    exact = over / integrate.quad(weight, 0, np.inf)[0]
    assert exact == pytest.approx(0.20953, abs=5e-6)
    assert exact_values.monomial_posterior([2, 4], nbeta=nbeta, localization=1) == pytest.approx(
        exact, rel=1e-8
    )


def test_scaling_of_weights_leaves_values():
    """w = s u turns (n beta, gamma) into (n beta s^p, gamma s^2) for degree p, and no more."""
    plain = exact_values.monomial_posterior([2, 4], nbeta=100, localization=1)
    scaled = exact_values.monomial_posterior([2, 4], nbeta=100 * 4**6, localization=16)
    assert scaled == pytest.approx(plain, rel=1e-10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: exact_values.quadratic_posterior([-1.0], nbeta=2, localization=1),
        lambda: exact_values.quadratic_sgld([1.0], nbeta=100, localization=1, step_size=0.04),
        lambda: exact_values.crossing_posterior(nbeta=10, localization=0),
        lambda: exact_values.monomial_posterior([2, 2], nbeta=10, localization=0),
        lambda: exact_values.monomial_posterior([2, 0], nbeta=10, localization=1),
        lambda: exact_values.monomial_posterior([2] * 3, nbeta=10, localization=1),
    ],
)
def test_a_problem_without_an_answer_is_refused(call):
    with pytest.raises(InputError, match="expected"):
        call()

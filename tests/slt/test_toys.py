"""docs/landscapes.py computes what it says: volumes, posteriors, the crossing."""

import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import integrate, special

from dynamics.slt import exact_values

pytestmark = pytest.mark.computes

toys = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "docs" / "landscapes.py")))
QUADRATIC, QUARTIC, SINGULAR, DISTANT, CROSSING = toys.LANDSCAPES


@pytest.mark.parametrize("threshold", [1e-3, 1e-9, 1e-18])
def test_volumes_of_round_and_square_bowls(threshold):
    assert toys.volume(QUADRATIC.loss, threshold) == pytest.approx(math.pi * threshold, rel=1e-6)
    unit = 4 * special.gamma(1.25) ** 2 / special.gamma(1.5)  # area of x^4 + y^4 <= 1
    assert toys.volume(QUARTIC.loss, threshold) == pytest.approx(unit * threshold**0.5, rel=1e-6)


@pytest.mark.parametrize("threshold", [1e-3, 1e-6, 1e-10])
def test_volume_of_a_cross_is_a_line_integral(threshold):
    def reach(log_y):
        y = math.exp(log_y)
        return y * min(threshold**0.5 / y**2, math.sqrt(toys.RADIUS**2 - y**2))

    top = math.log(toys.RADIUS)
    exact = 4 * sum(
        integrate.quad(reach, a, b, limit=400)[0] for a, b in ((top - 30, top - 2), (top - 2, top))
    )
    assert toys.volume(SINGULAR.loss, threshold) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("landscape", toys.LANDSCAPES, ids=lambda landscape: landscape.formula)
def test_slopes_of_volumes_tend_to_the_coefficient(landscape):
    """And more slowly by (m - 1)/log(1/epsilon) where the multiplicity is m."""
    low, high = 1e-24, 1e-23
    slope = math.log10(toys.volume(landscape.loss, high) / toys.volume(landscape.loss, low))
    logarithm = (landscape.multiplicity - 1) / math.log(1 / high)
    assert slope == pytest.approx(landscape.llc - logarithm, abs=2e-3)


@pytest.mark.long
def test_polar_posteriors_are_the_closed_forms():
    exact = {
        QUADRATIC: exact_values.quadratic_posterior([2, 2], nbeta=1e3, localization=1),
        QUARTIC: exact_values.powers_posterior([4, 4], nbeta=1e3, localization=1),
        SINGULAR: exact_values.monomial_posterior([2, 4], nbeta=1e3, localization=1),
        CROSSING: exact_values.crossing_posterior(nbeta=1e3, localization=1),
    }
    for landscape, value in exact.items():
        assert toys.posterior_value(landscape) == pytest.approx(value, rel=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("landscape", [QUARTIC, DISTANT], ids=lambda landscape: landscape.formula)
def test_estimates_are_the_posteriors(landscape):
    got = toys.estimate(landscape)
    assert got.sem < 0.02 * landscape.llc
    assert abs(got.llc - toys.posterior_value(landscape)) < 4 * got.sem + 0.01 * landscape.llc


@pytest.mark.parametrize("basin", [toys.QUARTIC, toys.QUADRATIC], ids=["quartic", "quadratic"])
def test_basins_are_minima_of_the_stated_order(basin):
    reach = 1e-2
    rise = [toys.two_minima(basin.at + s * reach) - basin.loss for s in (-1, 1, -2, 2)]
    assert toys.two_minima(basin.at) == pytest.approx(basin.loss, abs=1e-12)
    assert min(rise) > 0
    assert math.log2((rise[2] + rise[3]) / (rise[0] + rise[1])) == pytest.approx(
        1 / basin.llc, rel=1e-2
    )


@pytest.mark.parametrize("basin", [toys.QUARTIC, toys.QUADRATIC], ids=["quartic", "quadratic"])
def test_free_energies_tend_to_the_formula(basin):
    gaps = [
        abs(toys.free_energy(basin, n) - toys.asymptotic_free_energy(basin, n)) for n in (1e2, 1e4)
    ]
    assert gaps[1] < 0.2 * gaps[0] < 0.002


def test_the_posterior_crosses_where_the_formula_says():
    exact = toys.critical_n()
    assert exact == pytest.approx(1441, abs=1)
    assert toys.critical_n(toys.asymptotic_free_energy) == pytest.approx(exact, rel=2e-3)
    w, step = np.linspace(-2, 2, 400_001, retstep=True)
    left, right = (
        np.exp(-exact * toys.two_minima(w))[side].sum() * step
        for side in (w < toys.TOP, w >= toys.TOP)
    )
    assert left == pytest.approx(right, rel=1e-3)

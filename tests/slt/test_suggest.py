"""Settings from the landscape: what they foretell is what chains find, or they say why not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import slt
from dynamics.errors import InputError
from dynamics.measures.curvature import SpectralDensity

pytestmark = pytest.mark.computes

FLAT = np.zeros(1)


def landscape(eigenvalues, slope=None) -> slt.Landscape:
    """One whose density is its eigenvalues, each once."""
    nodes = np.asarray(eigenvalues, np.float64)[None]
    density = SpectralDensity(
        nodes=nodes, weights=np.full(nodes.shape, 1 / nodes.size), dimension=nodes.size
    )
    return slt.Landscape(density, slope or slt.Slope(FLAT, FLAT))


@pytest.mark.parametrize("wanted", [-0.2, -0.5, -0.8])
def test_the_foretold_exponent_is_the_one_asked_for(wanted):
    spectrum = np.geomspace(1e-3, 10, 40)
    suggestion = slt.suggest_for(
        [landscape(spectrum)], 64, room=1.0, pull_exponent=wanted, max_steps=10**6
    )
    assert suggestion.sampler is not None
    assert suggestion.references[0].pull_exponent == pytest.approx(wanted, abs=0.12)


def test_one_setting_serves_every_checkpoint():
    """The stiffest direction of any decides the step, the flattest LLC the pull."""
    landscapes = [landscape([0.1, 0.2, 1.0]), landscape([1.0, 20.0, 50.0])]
    suggestion = slt.suggest_for(landscapes, 64, room=1.0, max_steps=10**6)
    sampler = suggestion.sampler
    assert sampler is not None
    assert sampler.step_size * (sampler.nbeta * 50 + sampler.localization) <= 0.4
    assert all(reference.pull_exponent >= -0.6 for reference in suggestion.references)


def test_chains_stay_below_the_trivial_predictor():
    suggestion = slt.suggest_for([landscape([0.5, 1.0, 2.0])], 64, room=0.5)
    assert suggestion.sampler is not None
    assert suggestion.references[0].llc / suggestion.sampler.nbeta <= 0.2 * 0.5 * 1.1


def test_where_no_pull_confines_the_chains_without_deciding_it_says_so():
    suggestion = slt.suggest_for([landscape([-0.2, *[0.01] * 200])], 64, room=1.0)
    assert suggestion.sampler is None
    assert "confined only from" in suggestion.sentence


def test_where_the_budget_is_too_small_it_says_so():
    suggestion = slt.suggest_for([landscape([1e-4] * 50 + [10.0] * 2)], 64, max_steps=50)
    assert suggestion.sampler is None
    assert "50 are allowed" in suggestion.sentence


def test_where_nothing_curves_upward_it_says_so():
    assert "upward" in slt.suggest_for([landscape([-1.0, 0.0])], 64).sentence


CURVATURES = np.tile(np.float32([0.05, 0.3, 1.0, 5.0]), (64, 1))


def quadratic_loss(w, curvatures):
    return jnp.sum(curvatures.mean(0) * w**2) / 2


@pytest.mark.long
def test_on_a_quadratic_the_foretold_setting_serves():
    suggestion = slt.suggest(
        quadratic_loss, jnp.zeros(4), CURVATURES, jax.random.key(0), trivial_loss=0.1
    )
    (estimate,) = suggestion.tries
    assert suggestion.sampler is not None
    assert estimate.verdict.state == "local"
    assert abs(estimate.llc - suggestion.references[0].llc) < 4 * estimate.sem
    assert "held by the pull" not in estimate.verdict.warnings


def crowd_loss(w, curvatures):
    """A few stiff directions, and a quartic crowd that is flat at w* and adds up away from it."""
    return quadratic_loss(w[:4], curvatures) + 20 * jnp.mean(jnp.square(jnp.square(w[4:])))


@pytest.mark.long
def test_a_crowd_of_flat_directions_is_found_by_trying():
    """The Hessian sees four directions; a quartic crowd of 400 decides at the pull's mercy."""
    suggestion = slt.suggest(
        crowd_loss, jnp.zeros(404), CURVATURES, jax.random.key(0), trivial_loss=3.0
    )
    first = suggestion.tries[0]
    assert first.llc > 2 * 2  # the quadratic has at most 4 / 2
    assert suggestion.sampler is None or suggestion.sampler.nbeta > first.nbeta


@pytest.mark.parametrize("changed", [{"pull_exponent": 0.5}, {"bias": 0.0}, {"max_steps": 1}])
def test_numbers_out_of_their_range_are_refused(changed):
    with pytest.raises(InputError, match=next(iter(changed))):
        slt.suggest_for([landscape([1.0])], 64, **changed)


def test_a_checkpoint_above_the_trivial_predictor_is_refused():
    with pytest.raises(InputError, match=r"0\.5 above the trivial.*later checkpoint"):
        slt.suggest_for([landscape([1.0])], 64, room=-0.5)


def test_no_landscape_is_refused():
    with pytest.raises(InputError, match="landscapes"):
        slt.suggest_for([], 64)

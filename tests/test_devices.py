"""What `devices.map_chains` is called with is checked before it is padded.

How chains spread over devices is held to one reference in tests/slt/test_layouts.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from dynamics import devices


def double(chain):
    return 2 * chain["a"] + chain["b"]


@pytest.mark.parametrize(
    "mesh", [None, Mesh(np.array(jax.devices()[:1])[None], ("chain", "model"))]
)
def test_leaves_of_different_numbers_of_chains_are_refused(mesh):
    """Padding would index all by the first leaf's number, and clip."""
    per_chain = {"a": jnp.arange(3.0), "b": jnp.arange(2.0)}
    with pytest.raises(AssertionError, match="shape prefix"):
        devices.map_chains(lambda chain, _: double(chain), mesh)(per_chain, 0.0)


def test_an_uneven_number_of_chains_loses_none():
    per_chain = {"a": jnp.arange(3.0), "b": jnp.ones(3)}
    np.testing.assert_array_equal(devices.map_chains(double)(per_chain), [1, 3, 5])

"""The device's numbers beside the CPU's, in one process: divergence, a chain with a known target,
curvature, a language model's chain.

Axes: S seeds, N tokens, C chains, P parameters.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh

from benchmarks import hvp, setting
from dynamics import slt
from dynamics.measures import curvature, divergence, surprisal

# Relative. Sums in another order lose some digits, each exp another; steps of a chain are 1e-5 at
# most from those of another layout, over the first 20.
TOLERANCES = {"kl": 1e-4, "quadratic": 1e-5, "hessian": 1e-4, "llc_chain": 1e-5}
_SETTINGS = {"localization": 100.0, "num_draws": 20}


class Sizes(NamedTuple):
    """How large."""

    model: str  # of `setting.MODELS`
    vocabulary: int  # of the divergence alone


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """The relative difference of each number from the CPU's."""
    cpu, device = jax.devices("cpu")[0], jax.devices()[0]
    differences = {}
    for name, compute in COMPUTATIONS.items():
        reference, value = (on(place, compute, sizes) for place in (cpu, device))
        differences[name] = float(np.abs(value - reference).max() / np.abs(reference).max())
    outside = [name for name, tolerance in TOLERANCES.items() if differences[name] > tolerance]
    return {
        "device": str(device),
        "differences": differences,
        "tolerances": TOLERANCES,
        "agrees": not outside,
        "remarks": [
            f"relative differences of {device} from {cpu}: "
            + ", ".join(
                f"{name} {difference:.1g} (of {TOLERANCES[name]:g})"
                for name, difference in differences.items()
            ),
            *([f"out of tolerance: {', '.join(outside)}"] if outside else []),
        ],
    }


def on(device, compute: Callable, sizes: Sizes) -> np.ndarray:
    """The computation on `device`."""
    with jax.default_device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(compute(sizes, device), np.float64)


def kl(sizes: Sizes, device):
    """[S,S,N] of seeds that are far apart, and of two that are close."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 8, sizes.vocabulary))
    logits[1] = logits[0] + 1e-3 * rng.normal(size=logits[0].shape)
    pairs = divergence.pairwise_kl(jnp.asarray(logits, jnp.float32))
    assert pairs.devices() == {device}
    return pairs


def quadratic(sizes: Sizes, device):
    """[C,draws] distances of chains on a bowl of three curvatures."""
    curvatures = jnp.asarray((0.1, 1.0, 10.0))

    def loss(w, batch):
        return 0.5 * jnp.sum(curvatures * w**2)

    sampler = slt.SGLD(step_size=1e-2, nbeta=10.0, num_chains=4, **_SETTINGS)
    return chains(loss, jnp.zeros(3), np.zeros((2, 1), np.float32), sampler, device).distance


def hessian(sizes: Sizes, device):
    """[P] the Hessian of a language model's loss times a vector."""
    config = setting.MODELS[sizes.model]
    params = setting.params_of(config)
    product = jax.jit(curvature.hessian(surprisal.loss_fn(config)).apply)
    image = product(params, setting.tokens_of(config, 2, 16), hvp.vector_of(params, 0))
    return ravel_pytree(image)[0]


def llc_chain(sizes: Sizes, device):
    """[C,draws] losses along the chains of a language model."""
    config = setting.MODELS[sizes.model]
    sampler = slt.SGLD(step_size=1e-4, num_chains=2, batch_size=4, **_SETTINGS)
    tokens = setting.tokens_of(config, 8, 32)
    loss, params = surprisal.loss_fn(config), setting.params_of(config)
    return chains(loss, params, tokens, sampler, device).loss_trace


def chains(loss, params, data, sampler, device) -> slt.LLCEstimate:
    """An estimate whose chains run on `device`, which a mesh of this one device says: without it
    they would go to the accelerator."""
    mesh = Mesh(np.array([[device]]), ("chain", "model"))
    return slt.estimate_llc(loss, params, data, jax.random.key(3), sampler, mesh=mesh)


COMPUTATIONS = {
    "kl": kl,
    "quadratic": quadratic,
    "hessian": hessian,
    "llc_chain": llc_chain,
}

"""Chains on a bowl, spread over whatever devices the process has.

Axes: C chains.

    python -m benchmarks.device.bowl

prints their losses and their devices as JSON.
"""

import json
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import devices, slt

CHAINS = 4


def trace() -> tuple[np.ndarray, list[str]]:
    """([C,draws] losses along the chains, the devices that pmap gives them)."""
    sampler = slt.SGLD(
        step_size=1e-2, nbeta=10.0, localization=100.0, num_chains=CHAINS, num_draws=20
    )
    data = np.zeros((2, 1), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimate = slt.estimate_llc(loss, jnp.zeros(3), data, jax.random.key(0), sampler)
    return estimate.loss_trace, places()


def loss(w, batch):
    """A bowl of three curvatures."""
    return 0.5 * jnp.sum(jnp.asarray((0.1, 1.0, 10.0)) * w**2)


def places() -> list[str]:
    """The devices that `devices.map_chains` gives as many chains."""
    numbers = devices.map_chains(_square)(jnp.arange(float(CHAINS)))
    return sorted(str(device) for device in numbers.devices())


def _square(x):
    return x * x


if __name__ == "__main__":
    start = time.perf_counter()
    losses, used = trace()
    seconds = time.perf_counter() - start
    print(json.dumps({"devices": used, "seconds": seconds, "losses": losses.tolist()}))

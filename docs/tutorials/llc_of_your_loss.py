# %% [markdown]
# # The local learning coefficient of your own loss
#
# `slt.estimate_llc` takes any loss function of parameters and a batch, and any pytree of
# parameters, of flax or not. Chains of Langevin dynamics start at the parameters; what they lose on
# average, times n beta, is the estimate. It comes with its standard error and with a verdict on
# whether the chains were still near the model.
#
# Run it: `python docs/tutorials/llc_of_your_loss.py` (seconds, no download).

# %%
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dynamics import slt

# %% [markdown]
# ## A loss with a known answer
#
# l = (a^2 + b^2) / 2 in two of three directions; the third is flat. Each of the two adds 1/2 at a
# large n beta, so the coefficient is 1. The finite pull towards the parameters takes a little off:
# n beta h / (2 (n beta h + gamma)) for each direction of curvature h.


# %%
def loss(params, batch):
    return 0.5 * (params["a"] ** 2 + params["b"] ** 2) + 0.0 * params["flat"] + 0.0 * batch.mean()


params = {"a": jnp.float32(0.0), "b": jnp.float32(0.0), "flat": jnp.float32(0.0)}
data = np.zeros((64, 1), np.float32)
sampler = slt.SGLD(step_size=1e-3, nbeta=100.0, localization=1.0, num_chains=8,
                   num_draws=4000, burn_in=500)  # fmt: skip
estimate = slt.estimate_llc(loss, params, data, jax.random.key(0), sampler)
exact = 2 * 100 / (2 * (100 + 1))
print(f"{estimate.llc:.3f} +- {estimate.sem:.3f}; exact {exact:.3f}")
assert abs(estimate.llc - exact) < 4 * estimate.sem + 0.05  # SGLD is 3 % high at this step

# %% [markdown]
# ## A network of your own
#
# A regression network as a plain dict. A batch is whatever your data's leaves are: here inputs and
# targets. `trivial_loss` is that of the best constant prediction: chains that lose more have left
# the model, and the verdict says so.

# %%
rng = np.random.default_rng(0)
x = rng.normal(size=(256, 4)).astype(np.float32)
y = np.tanh(x[:, 0] - x[:, 1]).astype(np.float32)
network = {"hidden": 0.5 * rng.normal(size=(4, 8)).astype(np.float32),
           "out": 0.5 * rng.normal(size=8).astype(np.float32)}  # fmt: skip


def squared_error(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["hidden"]) @ params["out"] - y) ** 2)


def trained(loss, params):
    """2,000 steps of gradient descent on all of the data."""

    @jax.jit
    def step(params):
        return jax.tree.map(lambda w, g: w - 0.1 * g, params, jax.grad(loss)(params, (x, y)))

    for _ in range(2000):
        params = step(params)
    return params


network = trained(squared_error, network)
sampler = slt.SGLD(step_size=3e-4, nbeta=256.0, localization=10.0, num_chains=4,
                   num_draws=16000, burn_in=4000)  # fmt: skip
estimate = slt.estimate_llc(squared_error, network, (x, y), jax.random.key(1), sampler,
                            trivial_loss=float(y.var()))  # fmt: skip
print(f"{estimate.llc:.1f} +- {estimate.sem:.1f} of {estimate.num_free} parameters")
print(estimate.verdict.sentence)

# %% [markdown]
# ## A flax model
#
# Its params are a pytree like any other: the loss closes over the module and calls `apply`. Here
# the layers have biases and a head of their own, which count as parameters too.


# %%
class Regressor(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(jnp.tanh(nn.Dense(8)(x)))[:, 0]


regressor = Regressor()


def regressor_error(params, batch):
    x, y = batch
    return jnp.mean((regressor.apply({"params": params}, x) - y) ** 2)


params = trained(regressor_error, regressor.init(jax.random.key(2), x)["params"])
estimate = slt.estimate_llc(regressor_error, params, (x, y), jax.random.key(3), sampler,
                            trivial_loss=float(y.var()))  # fmt: skip
print(f"{estimate.llc:.1f} +- {estimate.sem:.1f} of {estimate.num_free} parameters")
print(estimate.verdict.sentence)

# %% [markdown]
# ## What the settings decide
#
# Estimates compare only at one n beta, gamma and epsilon; `slt.difference` refuses others. With a
# stronger pull the estimate falls: where it halves when gamma doubles, the pull and not the
# landscape decides it, and it says little beyond the Hessian's trace.

# %%
for gamma in (10.0, 1000.0):
    pulled = slt.SGLD(step_size=3e-4, nbeta=256.0, localization=gamma, num_chains=4,
                      num_draws=16000, burn_in=4000)  # fmt: skip
    estimate = slt.estimate_llc(squared_error, network, (x, y), jax.random.key(1), pulled)
    share = estimate.verdict.localization_share
    print(
        f"gamma {gamma:g}: {estimate.llc:.2f} +- {estimate.sem:.2f}, the pull's share {share:.2f}"
    )

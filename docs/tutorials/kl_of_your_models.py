# %% [markdown]
# # How far apart are your models?
#
# The Kullback-Leibler divergence between the next-token distributions of models that differ in
# their random seed, for every pair of them, in nats. Any logits serve; for language models of this
# package one call takes all of it over any number of tokens without holding the logits.
#
# Run it: `python docs/tutorials/kl_of_your_models.py` (seconds, no download).

# %%
import jax
import jax.numpy as jnp
import numpy as np

from dynamics import models
from dynamics.analysis import uncertainty
from dynamics.measures import divergence
from dynamics.models import gpt_neox

# %% [markdown]
# ## From any logits
#
# `pairwise_kl` takes logits or log-probabilities, seeds first. Raw logits keep more digits: a
# log-softmax in float32 rounds away the difference of seeds that are very close.

# %%
logits = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1]]))
kl = np.asarray(divergence.pairwise_kl(logits))
by_hand = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
print(kl)
np.testing.assert_allclose(kl[0, 1], by_hand, rtol=1e-6)

# %% [markdown]
# Seeds a ten-thousandth apart: the textbook difference of two sums has no digit left in float32.
# This form agrees with float64.

# %%
rng = np.random.default_rng(0)
base = rng.normal(size=(1, 5000)) * 2
close = (base + 1e-4 * rng.normal(size=(2, 5000))).astype(np.float32)
log_p = close - np.logaddexp.reduce(close.astype(np.float64), axis=1, keepdims=True)
exact = float((np.exp(log_p[0]) * (log_p[0] - log_p[1])).sum())
ours = float(divergence.pairwise_kl(close)[0, 1])
print(f"{ours:.6e} here, {exact:.6e} in float64")
assert abs(ours / exact - 1) < 1e-4

# %% [markdown]
# ## From language models
#
# Three seeds of one architecture, stacked. `seed_divergence` gives every number per token and per
# document: KL, surprisal, entropy, distance to the uniform and the unigram distribution.

# %%
config = gpt_neox.Config(hidden_size=32, num_layers=2, num_heads=2, intermediate_size=128,
                         vocab_size=256, max_positions=64)  # fmt: skip
seeds = jax.vmap(lambda key: models.init(key, config))(jax.random.split(jax.random.key(0), 3))
tokens = rng.integers(0, 256, (12, 33)).astype(np.int32)
documents = np.repeat(np.arange(6), 2)
numbers = divergence.seed_divergence(config, seeds, tokens, documents=documents)
print({name: np.shape(value) for name, value in numbers.items()})

# %% [markdown]
# Pairs share seeds and tokens share documents, so a standard deviation over pairs is no error bar.
# What is held fixed decides the interval, and each says what it rests on. At initialisation the
# divergence of Pythia's seeds is .4 nats whatever their width.

# %%
kl, weights = numbers["kl_documents"], numbers["document_tokens"]
interval = uncertainty.seed_interval(kl, weights)
print(f"{interval.mean:.3f} nats ({interval.low:.3f} to {interval.high:.3f}), {interval.rests_on}")
assert abs(interval.mean - 0.4) < 0.08

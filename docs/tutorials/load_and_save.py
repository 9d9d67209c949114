# %% [markdown]
# # Load and save a checkpoint
#
# A checkpoint is a folder in the Hugging Face hub's layout (`config.json`, `model.safetensors`), or
# a hub id with a revision. `checkpoints.load` gives its configuration, its parameters as a nested
# dict of NumPy arrays with the layers stacked, and where every number came from.
#
# Run it: `python docs/tutorials/load_and_save.py` (seconds, no download).

# %%
import tempfile
from pathlib import Path

import jax
import numpy as np

from dynamics import checkpoints, models, restrict
from dynamics.models import gpt_neox

# %% [markdown]
# A small model of Pythia's architecture, untrained. `checkpoints.load("EleutherAI/pythia-14m",
# "step512")` would give the published one in the same form.

# %%
config = gpt_neox.Config(hidden_size=32, num_layers=2, num_heads=2, intermediate_size=128,
                         vocab_size=256, max_positions=64)  # fmt: skip
params = models.init(jax.random.key(0), config)
folder = Path(tempfile.mkdtemp()) / "step0"
checkpoints.save(folder, config, jax.tree.map(np.asarray, params))
print(sorted(path.name for path in folder.iterdir()))

# %% [markdown]
# Loading gives back the same numbers, bit for bit. The layers of a model are stacked: each leaf of
# `params["layers"]` has a leading axis of two here, so a number per layer is one `jax.vmap`.

# %%
checkpoint = checkpoints.load(folder)
assert checkpoint.config == config
for before, after in zip(jax.tree.leaves(params), jax.tree.leaves(checkpoint.params), strict=True):
    np.testing.assert_array_equal(before, after)
print(jax.tree.map(np.shape, checkpoint.params["layers"]))
print(checkpoint.provenance["sha256"])

# %% [markdown]
# A configuration becomes pure functions of parameters and tokens. `apply_fn` holds all logits, so
# it is for small inputs; `hidden_fn` and `unembed_fn` are its two halves, and the measures take
# logits in chunks of tokens.

# %%
tokens = np.arange(48, dtype=np.int32).reshape(2, 24)
logits = jax.jit(models.apply_fn(config))(checkpoint.params, tokens)
assert logits.shape == (2, 24, 256)
# Pythia's initialisation gives logits of variance 2/5 at any width.
print("variance of the logits", float(np.var(logits)))
assert abs(float(np.var(logits)) - 0.4) < 0.1

# %% [markdown]
# Parts of a model have names, and a name becomes a mask over the parameters. The same masks
# restrict a local learning coefficient, a Hessian or an ablation.

# %%
head = restrict.select(config, "layers.1.attention.heads.0")
print("weights of one head", restrict.size(config, head), "of", models.num_params(params))

"""KL between every pair of seeds, here and in a plain torch pipeline: same weights, tokens and
float32.

Axes: S seeds, N predicted tokens. Units: nats.

The peer is what a paper's script does: a forward pass for each model, the log-softmax of all its
logits, and for each ordered pair the sum of p (log p - log q). Ours yields the surprisal and the
entropy of every seed in the same pass.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import setting
from dynamics.measures import divergence
from dynamics.models import gpt_neox


class Timed(NamedTuple):
    """One pass over the tokens."""

    seconds: float
    kl: np.ndarray  # [S,S,N]


def seeds_of(config: gpt_neox.Config, count: int, distance: float = 0.0) -> list:
    """Params of `count` models, in NumPy.

    Models at initialisation; with a `distance`, one of them with each weight moved by a normal
    number of that relative size.
    """
    if not distance:
        return [jax.tree.map(np.asarray, setting.params_of(config, seed)) for seed in range(count)]
    base = jax.tree.map(np.asarray, setting.params_of(config))

    def moved(seed: int):
        rng = np.random.default_rng(seed)
        return jax.tree.map(
            lambda p: p * (1 + distance * rng.normal(size=p.shape)).astype(np.float32), base
        )

    return [moved(seed) for seed in range(count)]


def ours(config, seeds: list, tokens: np.ndarray, js: bool = False) -> Callable[[int], Timed]:
    """One pass, whatever the number; compiled at the first."""
    params = jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *seeds))

    def timed(_: int) -> Timed:
        start = time.perf_counter()
        kl = divergence.seed_divergence(config, params, tokens, js=js, full=True)["kl_pairs"]
        return Timed(time.perf_counter() - start, kl.reshape(*kl.shape[:2], -1))

    return timed


def plain_torch(models: list, tokens: np.ndarray, device: str = "cpu") -> Callable[[int], Timed]:
    """One pass, whatever the number."""
    import torch

    models = [model.to(device).eval() for model in models]
    ids = torch.tensor(tokens[:, :-1], dtype=torch.long, device=device)

    @torch.no_grad()
    def timed(_: int) -> Timed:
        start = time.perf_counter()
        log_p = [
            torch.log_softmax(model(ids).logits.flatten(0, 1).float(), dim=-1) for model in models
        ]
        kl = torch.zeros(len(models), len(models), log_p[0].shape[0], device=device)
        for i, own in enumerate(log_p):
            p = own.exp()
            for j, other in enumerate(log_p):
                if i != j:
                    kl[i, j] = (p * (own - other)).sum(-1)
        pairs = kl.cpu().numpy()
        return Timed(time.perf_counter() - start, pairs)

    return timed


def sides(
    config, seeds: list, tokens: np.ndarray, js: bool = False, device: str = "cpu"
) -> tuple[Callable[[int], Timed], Callable[[], Callable[[int], Timed]]]:
    """(our side, a function that builds torch's) over the same weights and tokens."""

    def build_torch():
        models = [setting.in_torch(config, params) for params in seeds]
        return plain_torch(models, tokens, device)

    return ours(config, seeds, tokens, js), build_torch


def largest_difference(ours: list[Timed], theirs: list[Timed]) -> float:
    """The largest difference of a token's KL, relative to the mean KL."""
    return max(
        float(np.abs(mine.kl - other.kl).max()) / mean_kl(other.kl)
        for mine, other in zip(ours, theirs, strict=True)
    )


def mean_kl(kl: np.ndarray) -> float:
    """Mean over ordered pairs of different models and tokens, of [S,S,N]."""
    return float(kl.mean() * len(kl) / (len(kl) - 1))

"""Seconds of causal unmasking with a memory of keys and values, and with every token computed anew.

    python -m benchmarks.completions_vs_scratch

A minute on 2 idle cores for 4 texts of 64 tokens at nano-64's shape, most of it compiling the other
side. Expect a ratio of about 8.

Both sides are ours, with the same weights, texts and float32, greedy, and give the same tokens. The
other side does what decoding without a memory has to: for each token to write, one pass over all
that stands before it, with logits at the last place alone. All rows that write at a place go
through one call. Four places in a row share a program, of as many rows and tokens as the last of
them needs, which costs that side a tenth at 64 tokens and saves it three in four compilations.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags

from benchmarks import pairs, setting
from dynamics import models
from dynamics.measures import completions
from dynamics.training import nano

MODELS = {**setting.MODELS, "nano-64": nano.RECIPES["nano"][1].config}
FLAGS = flags.FLAGS


PLACES = 4  # that share a program of the other side


class Timed(NamedTuple):
    """Causal unmasking of all texts."""

    seconds: float
    unmasked: completions.Unmasked


def ours(config, params, tokens: np.ndarray) -> Callable[[int], Timed]:
    """One run, whatever the number; compiled at the first."""

    def timed(_: int) -> Timed:
        start = time.perf_counter()
        unmasked = completions.causal_unmasking(config, params, tokens)
        return Timed(time.perf_counter() - start, unmasked)

    return timed


def from_scratch(config, params, tokens: np.ndarray) -> Callable[[int], Timed]:
    """One run, whatever the number; every place is compiled at the first."""
    hidden, unembed = models.hidden_fn(config), models.unembed_fn(config)
    texts, size = tokens.shape

    @jax.jit
    def score(params, read, in_text, place):
        """(the likeliest tokens at `place`, surprisal of each, surprisal of what the text has)."""
        with jax.default_matmul_precision("highest"):
            h, _ = hidden(params, read)
            before = jax.lax.dynamic_index_in_dim(h, place - 1, axis=1, keepdims=False)
            log_p = jax.nn.log_softmax(unembed(params, before))
        written = log_p.argmax(-1)
        rows = np.arange(len(read))
        return written, -log_p[rows, written], -log_p[rows, in_text]

    def timed(_: int) -> Timed:
        start = time.perf_counter()
        rows = np.repeat(tokens[:, None], size - 1, axis=1)  # [N,P,T]
        scores = np.full((2, texts, size - 1, size), np.nan, np.float32)
        for place in range(1, size):
            most = min(-(-place // PLACES) * PLACES, size - 1)  # prefixes, and tokens of each
            read = rows[:, :most, :most].reshape(-1, most)
            in_text = np.repeat(tokens[:, place], most)
            written, *surprisals = (
                np.asarray(values).reshape(texts, most)[:, :place]
                for values in score(params, read, in_text, place)
            )
            rows[:, :place, place] = written
            scores[:, :, :place, place] = surprisals
        unmasked = completions.Unmasked(rows, *np.nanmean(scores, -1))
        return Timed(time.perf_counter() - start, unmasked)

    return timed


def compare(config, params, tokens: np.ndarray, count: int) -> pairs.Pairs:
    """`count` pairs of runs over the same texts."""
    return pairs.interleave(
        ours(config, params, tokens), from_scratch(config, params, tokens), count
    )


def largest_difference(runs: pairs.Pairs) -> tuple[float, float]:
    """(share of tokens that differ, largest relative difference of a mean surprisal)."""
    mine, other = runs.first_ours.unmasked, runs.first_peer.unmasked
    scores = [np.abs(a - b) / b for a, b in zip(mine[1:], other[1:], strict=True)]
    return float((mine.tokens != other.tokens).mean()), float(np.max(scores))


def main(_):
    config = MODELS[FLAGS.model]
    tokens = setting.tokens_of(config, FLAGS.texts, FLAGS.length)
    runs = compare(config, setting.params_of(config), tokens, FLAGS.pairs)
    print(
        f"the first run: ours {runs.first_ours.seconds:.1f} s, from scratch"
        f" {runs.first_peer.seconds:.1f} s"
    )
    print(setting.machine(("jax",)))
    for name, timed in (("ours", runs.ours), ("from scratch", runs.peer)):
        print(f"{name}: {setting.spread([run.seconds for run in timed])} s")
    tokens_apart, scores_apart = largest_difference(runs)
    print(
        f"ratio: {setting.spread(runs.ratios())} over {len(runs.ours)} pairs; {tokens_apart:.2g} of"
        f" the tokens differ, surprisals at most {scores_apart:.1g} apart, relative"
    )


if __name__ == "__main__":
    flags.DEFINE_enum("model", "nano-64", list(MODELS), "which shape")
    flags.DEFINE_integer("texts", 4, "that are completed", lower_bound=1)
    flags.DEFINE_integer("length", 64, "tokens of each", lower_bound=2)
    flags.DEFINE_integer("pairs", 5, "of runs", lower_bound=1)
    app.run(main)

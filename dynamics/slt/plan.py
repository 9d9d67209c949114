"""What every sampler shares: how many chains and draws, which batches, and the scan that runs one chain.

Axes: C chains, N data items, m items of a batch. A draw is a recorded step; between two draws lie `thinning` steps.

Randomness is folded from names, (seed, chain, step, what for), so it repeats at every checkpoint (paper A.4.2) and does
not depend on the number of devices, on chain batching or on where a run was cut.
"""

import dataclasses
import functools
import math
import zlib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import devices
from dynamics.errors import ChainError, InputError

BASELINES = ("same_batch", "fixed", "recycled")


class Scales(NamedTuple):
    """The numbers of a sampler that are traced, so that a grid over them compiles once."""

    step_size: float  # epsilon
    nbeta: float  # inverse temperature times sample size
    localization: float  # gamma


class Traces(NamedTuple):
    """What was recorded at every draw, each [C,draws]; inside a chain [draws]."""

    loss: Any  # batch loss at w_t, before the step
    baseline: Any  # loss of the same batch at w*, or None where it is not taken
    distance: Any  # |w_t - w*|
    grad_norm: Any  # |gradient of the batch loss at w_t|


class Run(NamedTuple):
    """A run as far as it has come; all that is needed to go on."""

    state: Any  # the sampler's state, leaves [C,...]; None where all draws are one segment
    traces: Traces  # NumPy, [C, draws so far]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How to sample, whatever the kernel.

    Attributes:
        step_size: epsilon, the variance of a step's noise.
        nbeta: n beta, or None for m / log m with m the batch size in items (paper A.4.1).
        localization: gamma, the strength of the pull back to w*.
        num_chains: C.
        num_draws: draws per chain, the burn-in among them; the first draw is w* itself.
        burn_in: draws at the start of each chain that no estimate uses.
        batch_size: m, drawn uniformly with replacement; None or N means the whole data, not drawn.
        thinning: steps per draw.
        baseline: what the chain's loss is compared with. "same_batch": the same batch at w*, one more forward pass per
            draw; "fixed": the whole data at w*; "recycled": the mean of the C batch losses at w* that the first draws
            are (the paper's), free and noisy. With whole-data batches the first two are one.
        chain_batch: how many chains a device holds at once; None for all of its share.
        segment: draws per compiled scan, between which a caller can save; None for all in one. One that divides
            num_draws compiles once.
    """

    step_size: float
    nbeta: float | None = None
    localization: float
    num_chains: int
    num_draws: int
    burn_in: int = 0
    batch_size: int | None = None
    thinning: int = 1
    baseline: Literal["same_batch", "fixed", "recycled"] = "same_batch"
    chain_batch: int | None = None
    segment: int | None = None

    def __post_init__(self):
        if self.baseline not in BASELINES:
            raise InputError.unknown("baseline", self.baseline, BASELINES)
        _require("step_size", self.step_size, math.isfinite(self.step_size) and self.step_size > 0, "a positive number")
        _require(
            "nbeta",
            self.nbeta,
            self.nbeta is None or 0 < self.nbeta < math.inf,
            "a positive number, or None for m/log m",
        )
        _require("localization", self.localization, 0 <= self.localization < math.inf, "zero or a positive number")
        for name in ("num_chains", "num_draws", "thinning"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("batch_size", "chain_batch", "segment"):
            _require(name, getattr(self, name), getattr(self, name) is None or getattr(self, name) >= 1, "at least 1")
        _require(
            "burn_in",
            self.burn_in,
            0 <= self.burn_in < self.num_draws,
            f"0 to {self.num_draws - 1}: num_draws has it in",
        )

    def whole(self, num_items: int) -> bool:
        """Whether a batch is all N items, in their order."""
        return self.batch_size is None or self.batch_size == num_items

    def items(self, num_items: int) -> int:
        """m for data of N items. Raises InputError if the batch is larger than the data."""
        _require(
            "batch_size", self.batch_size, (self.batch_size or 1) <= num_items, f"at most the {num_items} data items"
        )
        return num_items if self.batch_size is None else self.batch_size

    def scales(self, num_items: int) -> Scales:
        """The traced numbers for data of N items. Raises InputError where m / log m does not exist."""
        m = self.items(num_items)
        _require(
            "nbeta", self.nbeta, self.nbeta is not None or m > 1, "a number, where a batch is one item: m/log m is 1/0"
        )
        nbeta = m / math.log(m) if self.nbeta is None else self.nbeta
        return Scales(float(self.step_size), float(nbeta), float(self.localization))

    def program(self) -> Self:
        """The sampler with everything blanked that needs no other compiled program."""
        return dataclasses.replace(
            self, step_size=1.0, nbeta=1.0, localization=0.0, num_chains=1, num_draws=1, burn_in=0, segment=None
        )

    def kernel(self):
        """The (init, step) of this sampler: a `samplers.Kernel`."""
        raise NotImplementedError


def _require(name: str, value, holds: bool, expected: str):
    if not holds:
        raise InputError(f"{name}={value}", expected=expected)


def fold_name(key, name: str):
    """A key of its own for `name`, whatever else is drawn."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def num_items(data) -> int:
    """N, the leading axis that every leaf shares. Raises InputError."""
    sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(data)}
    if len(sizes) != 1 or sizes & {(), (0,)}:
        raise InputError(f"data with leading axes {sorted(sizes)}", expected="one N >= 1, the same for every leaf")
    return sizes.pop()[0]


def draw_batch(key, data, size: int | None):
    """`size` items of `data` drawn uniformly with replacement, or all of it in order."""
    count = num_items(data)
    if size is None or size == count:
        return data
    index = jax.random.randint(key, (size,), 0, count)
    return jax.tree.map(lambda x: x[index], data)


def norm(tree):
    """Euclidean norm over all leaves."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)))


@functools.lru_cache(maxsize=64)
def chain_fn(loss_fn, sampler: Plan, length: int, keep_state: bool):
    """chain((key, state), center, data, scales, start) -> (state, Traces [length]): draws start .. start + length - 1.

    For one chain on no device in particular. `key` is the chain's own. Without `keep_state` the state is None on both
    sides and the chain starts at `center` (w*), so that chains taken in turn do not all stay in memory.
    """
    kernel = sampler.kernel()

    def step(key, state, index, center, data, scales):
        at = jax.random.fold_in(key, index)
        batch = draw_batch(fold_name(at, "batch"), data, sampler.batch_size)
        return *kernel.step(at, state, lambda w: jax.value_and_grad(loss_fn)(w, batch), center, scales), batch

    def chain(key_and_state, center, data, scales, start):
        key, state = key_and_state
        paired = sampler.baseline == "same_batch" and not sampler.whole(num_items(data))

        def draw(state, index):
            first = index * sampler.thinning
            distance = norm(jax.tree.map(jnp.subtract, state.position, center))
            state, info, batch = step(key, state, first, center, data, scales)
            baseline = loss_fn(center, batch) if paired else None
            if sampler.thinning > 1:
                between = (first + 1, first + sampler.thinning)
                state = jax.lax.fori_loop(*between, lambda i, s: step(key, s, i, center, data, scales)[0], state)
            return state, Traces(info.loss, baseline, distance, info.grad_norm)

        with jax.default_matmul_precision("highest"):
            state = state if keep_state else kernel.init(center)
            state, traces = jax.lax.scan(draw, state, start + jnp.arange(length))
        return state if keep_state else None, traces

    return chain


@functools.lru_cache(maxsize=64)
def init_fn(sampler: Plan):
    """init(key, center) -> the state in which a chain starts."""
    kernel = sampler.kernel()
    return lambda key, center: kernel.init(center)


def segments(loss_fn, sampler: Plan, params, data, key, *, mesh=None, run: Run | None = None) -> Iterator[Run]:
    """Yields the run after each segment; save one, hand it back as `run`, and the rest comes out bit for bit the same.

    Args:
        loss_fn: (params, batch) -> mean loss. Programs are kept by its identity: define it once, outside loops.
        params: w*; taken to float32, since sqrt(epsilon) is under bfloat16's spacing.
        data: pytree, leading axis N.
        key: a typed PRNG key, the same one for every checkpoint.
        mesh: as in `devices.map_chains`.

    Raises:
        ChainError: chains that went non-finite, after the segment where they did.
        InputError: data without a common leading axis, a batch larger than the data, a key of the old kind.
    """
    if not jnp.issubdtype(getattr(key, "dtype", np.dtype(object)), jax.dtypes.prng_key):
        raise InputError(
            f"a key of type {type(key).__name__}", expected="a typed key", mend="Use jax.random.key(seed)."
        )
    scales = sampler.scales(num_items(data))
    center = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    data = jax.tree.map(jnp.asarray, data)
    keys = jax.vmap(lambda chain: jax.random.fold_in(key, chain))(jnp.arange(sampler.num_chains))
    done, program = 0 if run is None else run.traces.loss.shape[1], sampler.program()
    segment = min(sampler.segment or sampler.num_draws, sampler.num_draws)
    state = None if run is None else run.state
    if segment < sampler.num_draws and state is None:
        state = devices.map_chains(init_fn(program), mesh)(keys, center)
    while done < sampler.num_draws:
        length = min(segment, sampler.num_draws - done)
        chain = chain_fn(loss_fn, program, length, segment < sampler.num_draws)
        mapped = devices.map_chains(chain, mesh, chain_batch=sampler.chain_batch)
        state, traces = mapped((keys, state), center, data, scales, np.int32(done))
        traces = jax.tree.map(np.asarray, traces)
        refuse_non_finite(traces, done, sampler)
        run = Run(state, traces if run is None else _joined(run.traces, traces))
        done += length
        yield run


def _joined(before: Traces, after: Traces) -> Traces:
    return jax.tree.map(lambda x, y: np.concatenate([x, y], axis=1), before, after)


def refuse_non_finite(traces: Traces, start: int, sampler: Plan):
    """Raises ChainError naming the chains that are not finite and the first bad draw."""
    bad = np.logical_or.reduce([~np.isfinite(trace) for trace in jax.tree.leaves(traces)])
    if not bad.any():
        return
    chains = np.flatnonzero(bad.any(axis=1))
    first = start + int(np.flatnonzero(bad.any(axis=0))[0])
    named = ", ".join(map(str, chains[:10])) + (", ..." if len(chains) > 10 else "")
    raise ChainError(
        f"{len(chains)} of {len(bad)} chains non-finite (chain {named}), the first at draw {first}",
        expected="finite losses and gradients in every chain",
        mend=f"step_size={sampler.step_size} is too large here (the bound is 4 / (nbeta h + gamma), h the top Hessian"
        " eigenvalue), or the loss at the checkpoint itself is not finite."
        if first
        else "Draw 0 is the checkpoint itself: its loss or gradient is not finite.",
    )

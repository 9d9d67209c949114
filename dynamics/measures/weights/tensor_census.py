"""All there is to say of one tensor's distribution: histogram, moments, norms, zeros, two modes.

Axes: N bins, B blocks, V rows (of an unembedding: tokens), D columns. Units: those of the weights.

A census has no sampling error: it is of all weights. NumPy alone, one tensor at a time: 16-bit
tensors by their bit patterns in one pass (`patterns`), others in two passes over chunks, so that
memory is a few MB beyond the tensor itself, which may be a view of a file.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped

from dynamics.errors import InputError
from dynamics.measures.weights import modes, patterns
from dynamics.measures.weights.bins import Bins, choose

NEAR_ZERO = 0.1  # standard deviations; of a normal distribution about 0, 8 % are nearer
BLOCKS = 16  # of a tensor, whose differences show what the two modes rest on
_CHUNK = 1 << 16  # numbers held at once as float64
_FEW = 1 << 21  # 16-bit numbers that take less memory than the counts of all patterns
_NO_BINS = -24  # exponent of the bins of a tensor without a finite number


class Census(NamedTuple):
    """The distribution of one tensor's finite values; NaN is what no finite value can tell."""

    bins: Bins
    counts: Int64[np.ndarray, " N"]  # counts + below + above + not_finite is the tensor's size
    below: int  # under the first edge
    above: int  # at or over the last edge
    not_finite: int
    mean: float  # of all finite values, those outside the bins too; so are all below
    sd: float  # divided by their number: a census
    skewness: float  # 0 for a normal; NaN where every value is the same
    excess_kurtosis: float  # 0 for a normal; NaN where every value is the same
    norm: float  # root of the sum of squares
    mean_size: float  # of |w|
    largest: float  # |w|
    zeros: float  # share that is exactly 0
    near_zero: float  # share with |w| <= NEAR_ZERO sd
    modes: modes.Modes


class _Sums(NamedTuple):
    """Of the finite values of a part: their number, mean, and powers about that mean."""

    count: float
    mean: float
    second: float
    third: float
    fourth: float


class _Range(NamedTuple):
    """Of finite values."""

    low: float
    high: float
    mean_size: float
    zeros: float


def census(
    tensor: Shaped[np.ndarray, "..."],
    bins: int | Bins = 256,
    *,
    less: Float[np.ndarray, " D"] | None = None,
    num_blocks: int = BLOCKS,
) -> Census:
    """Histogram, moments, norms, zeros and modes of a tensor of any shape.

    Args:
        tensor: float16, bfloat16, float32 or float64.
        bins: of the histogram: as they are, or their number, which `bins.choose` then places by
            what the values are.
        less: [D] taken off every row of a tensor [V,D], as `common_vector` gives it.
        num_blocks: parts of the tensor that errors of the modes are taken over.

    Raises:
        InputError: a tensor that is empty or of no floating-point type; fewer than two bins.

    Example:
        >>> weights = np.random.default_rng(0).normal(0, 0.02, (500, 64)).astype(np.float16)
        >>> c = census(weights)
        >>> int(c.counts.sum()), c.below, round(c.sd, 3), round(c.near_zero, 2), c.modes.depth
        (32000, 0, 0.02, 0.08, 0.0)
    """
    check_floats(tensor)
    if less is None and tensor.dtype in patterns.TYPES and tensor.size >= _FEW:
        return _of_patterns(tensor, bins, num_blocks)
    digits = _digits(tensor.dtype) if less is None else None
    return _of_parts(_parts(tensor, less, num_blocks), tensor.size, bins, num_blocks, digits)


def common_vector(tensor: Shaped[np.ndarray, "V D"]) -> Float64[np.ndarray, " D"]:
    """[D] the mean of the rows of an unembedding [V,D]: what all tokens share.

    Adding one vector to every token's row shifts all logits alike and changes no softmax. So the
    model does not depend on it, and the raw matrix may drift where the model does not: a gauge.

    Example:
        >>> common_vector(np.array([[1.0, 2.0], [3.0, 6.0]])).tolist()
        [2.0, 4.0]
    """
    check_floats(tensor)
    rows = max(1, _CHUNK // tensor.shape[1])
    total = np.zeros(tensor.shape[1])
    for start in range(0, len(tensor), rows):
        total += tensor[start : start + rows].astype(np.float64).sum(0)
    return total / len(tensor)


def check_floats(tensor: Shaped[np.ndarray, "..."]):
    """Raises InputError for a tensor without values, or of integers."""
    floats = tensor.dtype in patterns.TYPES or tensor.dtype.kind == "f"
    if not floats or not tensor.size:
        raise InputError(
            f"a tensor of {tensor.size} {tensor.dtype} numbers",
            expected="floating-point weights, one or more",
            mend="A quantised model must be saved with its weights restored.",
        )


def _of_patterns(tensor: np.ndarray, bins: int | Bins, num_blocks: int) -> Census:
    counts = patterns.count(tensor, num_blocks)
    values, pattern = patterns.patterns(tensor.dtype)
    occupied = counts.sum(0)[pattern] > 0
    values, by_block = values[occupied], counts[:, pattern[occupied]]
    del counts
    total = by_block.sum(0, dtype=np.int64)
    number = int(total.sum())
    if not number:
        return _without_values(tensor.size, bins)
    mean = float((total * values).sum() / number)
    off = values - mean
    powers = [float((total * off**power).sum()) for power in (2, 3, 4)]
    size, zeros = float((total * np.abs(values)).sum()), float(total[values == 0].sum())
    span = _Range(float(values[0]), float(values[-1]), size / number, zeros / number)
    sums = _Sums(number, mean, *powers)
    bins = _placed(bins, sums, span, _digits(tensor.dtype))
    slots = bins.slots(values)
    blocks = np.stack([np.bincount(slots, row, bins.count + 2) for row in by_block])
    near = float(total[np.abs(values) <= NEAR_ZERO * _sd(sums, span)].sum())
    return _assembled(sums, span, bins, blocks.astype(np.int64), near, tensor.size - number)


def _digits(dtype: np.dtype) -> int:
    """Of the type's significand, after the point."""
    return int(ml_dtypes.finfo(dtype).nmant)


Parts = Callable[[], Iterator[Float64[np.ndarray, " n"]]]


def _parts(tensor: np.ndarray, less: np.ndarray | None, num_blocks: int) -> Parts:
    """A function that goes through the tensor, a chunk of float64 at a time."""
    table = tensor.reshape(-1, 1) if less is None else tensor
    rows = max(1, min(_CHUNK // table.shape[1], -(-len(table) // num_blocks)))

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, len(table), rows):
            part = table[start : start + rows].astype(np.float64)
            yield (part if less is None else part - less).ravel()

    return parts


def _of_parts(
    parts: Parts, size: int, bins: int | Bins, num_blocks: int, digits: int | None
) -> Census:
    sums, span = _first_pass(parts)
    if not sums.count:
        return _without_values(size, bins)
    sd = _sd(sums, span)
    bins = _placed(bins, sums, span, digits)
    blocks, near = np.zeros((num_blocks, bins.count + 2), np.int64), 0
    for number, part in enumerate(map(_finite, parts())):
        blocks[number % num_blocks] += np.bincount(bins.slots(part), minlength=bins.count + 2)
        near += int(np.count_nonzero(np.abs(part) <= NEAR_ZERO * sd))
    return _assembled(sums, span, bins, blocks, near, size - int(sums.count))


def _first_pass(parts: Parts) -> tuple[_Sums, _Range]:
    all_sums, low, high, size, zeros = [], np.inf, -np.inf, 0.0, 0
    for part in map(_finite, parts()):
        if not part.size:
            continue
        sizes = np.abs(part)
        low, high = min(low, float(part.min())), max(high, float(part.max()))
        size, zeros = size + float(sizes.sum()), zeros + part.size - np.count_nonzero(part)
        all_sums.append(_sums(part))
    sums = _pooled(all_sums)
    count = max(sums.count, 1)
    return sums, _Range(low, high, size / count, zeros / count)


def _finite(part: np.ndarray) -> np.ndarray:
    finite = np.isfinite(part)
    return part if finite.all() else part[finite]


def _sums(part: np.ndarray) -> _Sums:
    mean = float(part.mean())
    off = part - mean
    square = off * off
    return _Sums(part.size, mean, float(square.sum()), float(square @ off), float(square @ square))


def _pooled(parts: list[_Sums]) -> _Sums:
    """Of all parts together: the pairwise formulas of Chan, Golub & LeVeque (1983), at once."""
    if not parts:
        return _Sums(0, *[np.nan] * 4)
    count, mean, second, third, fourth = np.array(parts, np.float64).T
    total = count.sum()
    center = (count * mean).sum() / total
    shift = mean - center
    return _Sums(
        float(total),
        float(center),
        float((second + count * shift**2).sum()),
        float((third + 3 * shift * second + count * shift**3).sum()),
        float((fourth + 4 * shift * third + 6 * shift**2 * second + count * shift**4).sum()),
    )


def _sd(sums: _Sums, span: _Range) -> float:
    """0 where all values are equal, whatever the rounding of their mean."""
    return float(np.sqrt(sums.second / sums.count)) if span.high > span.low else 0.0


def _assembled(
    sums: _Sums, span: _Range, bins: Bins, blocks: np.ndarray, near: float, not_finite: int
) -> Census:
    """The census of what was counted; `blocks` [B,N+2] with what lies outside the bins."""
    sd, counts = _sd(sums, span), blocks.sum(0)
    square = sums.second / sums.count
    spread = sd > 0 and square > 0
    return Census(
        bins=bins,
        counts=counts[1:-1],
        below=int(counts[0]),
        above=int(counts[-1]),
        not_finite=not_finite,
        mean=sums.mean if spread else span.low,
        sd=sd,
        skewness=sums.third / sums.count / square**1.5 if spread else np.nan,
        excess_kurtosis=sums.fourth / sums.count / square**2 - 3 if spread else np.nan,
        norm=float(np.sqrt(sums.second + sums.count * sums.mean**2)),
        mean_size=span.mean_size,
        largest=max(abs(span.low), abs(span.high)),
        zeros=span.zeros,
        near_zero=float(near / sums.count),
        modes=modes.find(bins, blocks[:, 1:-1]) if spread else modes.NONE,
    )


def _placed(bins: int | Bins, sums: _Sums, span: _Range, digits: int | None) -> Bins:
    """The bins, or where so many of them are best placed."""
    if isinstance(bins, Bins):
        return bins
    return choose(span.low, span.high, sums.mean, _sd(sums, span), bins, digits)


def _without_values(size: int, bins: int | Bins) -> Census:
    """Of a tensor that has no finite number."""
    bins = bins if isinstance(bins, Bins) else Bins(_NO_BINS, -(bins // 2), bins)
    return Census(
        bins=bins,
        counts=np.zeros(bins.count, np.int64),
        below=0,
        above=0,
        not_finite=size,
        mean=np.nan,
        sd=np.nan,
        skewness=np.nan,
        excess_kurtosis=np.nan,
        norm=np.nan,
        mean_size=np.nan,
        largest=np.nan,
        zeros=np.nan,
        near_zero=np.nan,
        modes=modes.NONE,
    )

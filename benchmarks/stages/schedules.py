"""At which steps checkpoints lie: logarithmic ones, and uneven ones.

Axes: K checkpoints.
"""

import numpy as np


def logarithmic(count: int, first: int, last: int) -> np.ndarray:
    """About `count` steps [K] evenly apart in ln(step + 1), as far as whole numbers allow."""
    tried = count
    while True:
        places = np.geomspace(first + 1, last + 1, tried) - 1
        steps = np.unique(places.round().astype(int))
        if len(steps) >= count:
            return steps
        tried += max(1, count - len(steps))


def uneven(rng, count: int, first: int, last: int) -> np.ndarray:
    """About `count` steps [K] of one of three schedules.

    They are logarithmic and linear ones united, powers of two followed by linear ones, and random.
    """
    kind = rng.integers(3)
    if kind == 0:
        near = logarithmic(count * 2 // 3, first, last)
        steps = np.r_[near, np.linspace(first, last, count - len(near) + 2)[1:-1]]
    elif kind == 1:
        powers = 2 ** np.arange(30)
        powers = powers[(powers > first) & (powers <= last / count)]
        linear = np.linspace(last / count, last, max(count - len(powers) - 1, 2))
        steps = np.r_[first, powers, linear]
    else:
        inner = np.exp(rng.uniform(np.log(first + 1), np.log(last + 1), count - 2)) - 1
        steps = np.r_[first, inner, last]
    return np.unique(steps.round().astype(int))

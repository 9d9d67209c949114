"""How often each token id occurs in a text.

Axes: V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from dynamics.errors import InputError


def counts(documents: Sequence[Int[np.ndarray, "..."]], vocab_size: int) -> Int[np.ndarray, " V"]:
    """Occurrences of every id, int64; separators count like any other id.

    Raises:
        InputError: ids outside the vocabulary, or a vocabulary of none.

    Example:
        >>> counts([np.array([0, 2, 2]), np.array([2])], vocab_size=4).tolist()
        [1, 0, 3, 0]
    """
    if vocab_size < 1:
        raise InputError(f"a vocabulary of {vocab_size} ids", expected="1 or more")
    total = np.zeros(vocab_size, np.int64)
    for ids in documents:
        ids = np.asarray(ids).ravel()
        if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
            raise InputError(
                f"token ids from {ids.min()} to {ids.max()}", expected=f"ids in [0, {vocab_size})"
            )
        total += np.bincount(ids, minlength=vocab_size)
    return total

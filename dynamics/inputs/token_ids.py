"""Token ids from outside: JAX would clip or wrap what lies beyond a vocabulary, in silence."""

import numpy as np
from jaxtyping import Int

from dynamics.errors import InputError


def check_vocabulary(tokens: Int[np.ndarray, "..."], vocab_size: int):
    """Raises InputError for ids outside [0, vocab_size).

    Example:
        >>> check_vocabulary(np.array([[0, 3]]), vocab_size=3)
        Traceback (most recent call last):
        ...
        dynamics.errors.InputError: got token ids from 0 to 3; expected 0 to 2, the model's ...
    """
    if not tokens.size:
        return
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab_size:
        raise InputError(
            f"token ids from {low} to {high}",
            expected=f"0 to {vocab_size - 1}, the model's vocabulary",
            mend="Is this the suite's own tokenizer?",
        )

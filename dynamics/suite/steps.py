"""Subsets of training steps: log-spaced, linear, or single steps by number."""

from collections.abc import Sequence

from dynamics import inputs
from dynamics.errors import InputError

_STEP = inputs.Whole(0, (1 << 53) - 1)
_COUNT = inputs.Whole(2, 10_000)  # of linear:N, the first and the last step among them


def log_spaced(steps: Sequence[int]) -> tuple[int, ...]:
    """Step 0 if present, the first step after it, then each that at least doubles the last.

    Example:
        >>> log_spaced([0, 1, 2, 3, 4, 5, 8, 20, 30, 41])
        (0, 1, 2, 4, 8, 20, 41)
    """
    subset: list[int] = []
    for step in sorted(steps):
        if not subset or subset[-1] == 0 or step >= 2 * subset[-1]:
            subset.append(step)
    return tuple(subset)


def linear(steps: Sequence[int], count: int) -> tuple[int, ...]:
    """At most `count` steps from the first to the last: those nearest to an even spacing.

    Raises InputError for fewer than two, or more than 10,000.

    Example:
        >>> linear(range(0, 101, 10), 3)
        (0, 50, 100)
    """
    _COUNT.check(count, "linear:")
    first, last = min(steps), max(steps)
    wanted = [first + (last - first) * k / (count - 1) for k in range(count)]
    return tuple(sorted({min(steps, key=lambda step: abs(step - at)) for at in wanted}))


def choose(
    words: Sequence[str], steps: Sequence[int], log: Sequence[int] | None = None
) -> tuple[int, ...]:
    """The steps that a user's words name: "log", "all", "linear:N", or whole numbers, joined.

    Args:
        words: what the user wrote.
        steps: all steps of the suite.
        log: the log-spaced steps, where the suite has its own.

    Raises InputError for any other word. A number need not be a step of the suite: `Suite.select`
    checks that.

    Example:
        >>> choose(["log", "7"], range(10))
        (0, 1, 2, 4, 7, 8)
    """
    subset: set[int] = set()
    for word in words:
        subset.update(_of_word(word.strip(), steps, log or log_spaced(steps)))
    return tuple(sorted(subset))


def _of_word(word: str, steps: Sequence[int], log: Sequence[int]) -> Sequence[int]:
    if word == "all":
        return steps
    if word == "log":
        return log
    kind, _, count = word.partition(":")
    if kind == "linear" and count.isdecimal():
        return linear(steps, _COUNT.parse(count, "linear:"))
    if word.isdecimal():
        return [_STEP.parse(word, "the step ")]
    raise InputError(
        f"steps {inputs.shown(word)}",
        expected="whole numbers, log, all, or linear:N, separated by commas",
    )

"""Subsets of training steps: log-spaced, linear, or named one by one."""

from collections.abc import Sequence

from dynamics.errors import InputError


def log_spaced(steps: Sequence[int]) -> tuple[int, ...]:
    """Step 0 where there is one, then the first step and each that at least doubles the one
    before."""
    chosen: list[int] = []
    for step in sorted(steps):
        if not chosen or chosen[-1] == 0 or step >= 2 * chosen[-1]:
            chosen.append(step)
    return tuple(chosen)


def linear(steps: Sequence[int], count: int) -> tuple[int, ...]:
    """At most `count` steps, evenly spaced from the first to the last as far as the grid has
    them."""
    if count < 2:
        raise InputError(f"linear:{count}", expected="at least the first and the last, linear:2")
    first, last = min(steps), max(steps)
    wanted = [first + (last - first) * k / (count - 1) for k in range(count)]
    return tuple(sorted({min(steps, key=lambda step: abs(step - at)) for at in wanted}))


def choose(
    words: Sequence[str], steps: Sequence[int], log: Sequence[int] | None = None
) -> tuple[int, ...]:
    """The steps that a user's words name: "log", "all", "linear:N", or whole numbers, joined.

    `log` are the log-spaced steps where the suite has its own. Raises InputError for any other
    word; whether the suite has a named step is `Suite.select`'s question.
    """
    chosen: set[int] = set()
    for word in words:
        chosen.update(_of_word(word.strip(), steps, log or log_spaced(steps)))
    return tuple(sorted(chosen))


def _of_word(word: str, steps: Sequence[int], log: Sequence[int]) -> Sequence[int]:
    if word == "all":
        return steps
    if word == "log":
        return log
    kind, _, count = word.partition(":")
    if kind == "linear" and count.isdecimal():
        return linear(steps, int(count))
    if word.isdecimal():
        return [int(word)]
    raise InputError(
        f"steps {word!r}", expected="whole numbers, log, all, or linear:N, separated by commas"
    )

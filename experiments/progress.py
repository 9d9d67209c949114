"""How far a loop is and what is left: a bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
_SECONDS_BETWEEN_LINES = 10


def follow(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Yields `items`, reporting after each."""
    report = counter(total, label)
    for done, item in enumerate(items, 1):
        yield item
        report(done)


def counter(total: int, label: str) -> Callable[[int], None]:
    """report(done): draws the bar, or prints a line if the last one is old or all is done."""
    if sys.stderr.isatty():
        bar = tqdm(total=total, desc=label, leave=True)

        def draw(done: int):
            bar.update(done - bar.n)
            if done >= total:
                bar.close()

        return draw
    start = time.monotonic()
    last = [start, 0]  # when a line was last printed; where counting began (a resumed loop starts late)

    def line(done: int):
        now = time.monotonic()
        last[1] = last[1] or max(done - 1, 0)
        if done >= total or now - last[0] >= _SECONDS_BETWEEN_LINES:
            left = (now - start) / max(done - last[1], 1) * (total - done)
            print(f"{label}: {done}/{total}, {tqdm.format_interval(left)} left", file=sys.stderr, flush=True)
            last[0] = now

    return line

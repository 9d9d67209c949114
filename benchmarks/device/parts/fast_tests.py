"""The fast tests of samplers, divergence and curvature, run on the device."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]


class Sizes(NamedTuple):
    """Which, and for how long."""

    tests: tuple[str, ...]  # files or single tests
    seconds: float  # after which no further test is begun
    deselect: tuple[str, ...] = ()


class Tally:
    """A pytest plugin that counts, and stops when the time is up."""

    def __init__(self, seconds: float):
        self.until = time.monotonic() + seconds
        self.passed, self.failures, self.skipped, self.collected = 0, [], 0, 0

    def pytest_collection_finish(self, session):
        self.collected = len(session.items)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failures.append(report.nodeid)
        elif report.skipped:
            self.skipped += 1
        elif report.when == "call":
            self.passed += 1

    def pytest_runtest_logfinish(self, nodeid, location):
        if time.monotonic() > self.until:
            self.session.shouldstop = "the time is up"

    def pytest_sessionstart(self, session):
        self.session = session


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Counts of what passed, failed and was not reached."""
    import pytest

    # The session's own setting is CPU devices, unless the platforms are given: "" is JAX's choice.
    os.environ.setdefault("JAX_PLATFORMS", "")
    # What a test compares with is written in plain products, which a GPU would round to TF32.
    os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
    tally = Tally(sizes.seconds)
    options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-W", "default", "--tb=short"]
    deselected = [word for test in sizes.deselect for word in ("--deselect", test)]
    code = pytest.main(
        ["--rootdir", str(ROOT), "-m", "not long and not alone", *options, *deselected]
        + [str(ROOT / test) for test in sizes.tests],
        plugins=[tally],
    )
    reached = tally.passed + len(tally.failures) + tally.skipped
    remarks = [
        f"{tally.passed} tests passed, {len(tally.failures)} failed, {tally.skipped} skipped,"
        f" {tally.collected - reached} not reached within {sizes.seconds:.0f} s"
    ]
    if tally.failures:
        remarks.append("failed: " + ", ".join(tally.failures))
    if not reached:
        remarks.append(f"no test ran: pytest's exit code is {int(code)}")
    return {
        "passed": tally.passed,
        "failed": tally.failures,
        "skipped": tally.skipped,
        "not_reached": tally.collected - reached,
        "agrees": not tally.failures and bool(reached),
        "remarks": remarks,
    }

"""The fast tests of samplers, divergence and curvature, run on the device."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax

ROOT = Path(__file__).parents[3]


class Sizes(NamedTuple):
    """Which, and for how long."""

    tests: tuple[str, ...]  # files or single tests
    seconds: float  # for all: none is begun after its share, and what one leaves goes to the next


class Tally:
    """A pytest plugin that counts, and begins no further test once its time is up."""

    def __init__(self, until: float):
        """`until` is a time of `time.monotonic`."""
        self.until = until
        self.collected = self.passed = self.skipped = 0
        self.failures: list[str] = []

    def pytest_collection_finish(self, session):
        self.collected = len(session.items)

    def pytest_collectreport(self, report):
        if report.failed:  # a file that cannot be imported
            self.failures.append(report.nodeid)
            self.collected += 1

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

    def not_reached(self) -> int:
        """Tests that were selected and not begun."""
        return max(0, self.collected - self.passed - self.skipped - len(self.failures))


def run(sizes: Sizes, earlier: Mapping) -> dict:
    """Counts of what passed, failed and was not reached."""
    # The session's own setting is CPU devices, unless the platforms are given: "" is JAX's choice.
    os.environ.setdefault("JAX_PLATFORMS", "")
    # What a test compares with is written in plain products, which a GPU would round to TF32.
    jax.config.update("jax_default_matmul_precision", "highest")
    end, tallies = time.monotonic() + sizes.seconds, []
    for number, tests in enumerate(sizes.tests):
        share = (end - time.monotonic()) / (len(sizes.tests) - number)
        tallies.append(tallied(tests, time.monotonic() + share))
    passed = sum(tally.passed for tally in tallies)
    skipped = sum(tally.skipped for tally in tallies)
    not_reached = sum(tally.not_reached() for tally in tallies)
    failures = [test for tally in tallies for test in tally.failures]
    # A file of which nothing ran is a fault: it was renamed, or pytest itself failed.
    idle = [
        tests
        for tests, tally in zip(sizes.tests, tallies, strict=True)
        if not tally.passed + tally.skipped + len(tally.failures)
    ]
    remarks = [
        f"{passed} tests passed, {len(failures)} failed, {skipped} skipped,"
        f" {not_reached} not reached within {sizes.seconds:.0f} s",
        *([f"failed: {', '.join(failures)}"] if failures else []),
        *([f"no test ran of {', '.join(idle)}"] if idle else []),
    ]
    return {
        "passed": passed,
        "failed": failures,
        "skipped": skipped,
        "not_reached": not_reached,
        "agrees": not failures and not idle,
        "remarks": remarks,
    }


def tallied(tests: str, until: float) -> Tally:
    """The tally of one file, or of one test."""
    import pytest

    tally = Tally(until)
    options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-W", "default", "--tb=short"]
    selection = ["-m", "not long and not alone", str(ROOT / tests)]
    pytest.main(["--rootdir", str(ROOT), *options, *selection], plugins=[tally])
    return tally

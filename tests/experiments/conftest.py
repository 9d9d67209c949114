"""What tests of scripts share: a suite that is trained once, whatever the number of workers."""

import fcntl
import os

import job
import pytest


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> str:
    """A cache folder in which the smoke suite is trained. Others may be trained there too; what
    damages one copies the folder first."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / "suites"
    with (root / "suites.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            code, _, stderr = job.run("train_suite", "--suite=smoke", cache=folder)
            assert code == 0, stderr
    return str(folder)

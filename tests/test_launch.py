"""The launch scripts do with signals and shares of the work what their schedulers need."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[1] / "launch"
JOB = """#!/usr/bin/env bash
echo "$@" > told
trap 'echo terminated > ended; exit 143' TERM
touch started
while :; do sleep 0.05; done
"""


@pytest.fixture
def place(tmp_path):
    """A folder with a virtual environment whose python only notes how it was called and how it
    ended."""
    for name, text in (
        (".venv/bin/activate", f"PATH={tmp_path}/.venv/bin:$PATH\n"),
        (".venv/bin/python", JOB),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return tmp_path


def test_slurm_warns_the_job_itself(place):
    """Slurm is asked to signal the batch shell (B:) ahead of the end, and what runs there is the
    job."""
    script = LAUNCH / "slurm.sh"
    assert "#SBATCH --signal=B:TERM@120" in script.read_text().splitlines()
    environment = {
        "SLURM_SUBMIT_DIR": str(place),
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_ARRAY_TASK_COUNT": "8",
    }
    with subprocess.Popen(
        ["bash", script, "--suite=nano"], env={**os.environ, **environment}
    ) as job:
        until = time.monotonic() + 30
        while not (place / "started").exists() and time.monotonic() < until:
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)
        assert job.wait(30) == 143
    assert (place / "ended").read_text() == "terminated\n"
    assert (place / "told").read_text().split() == [
        "-m",
        "experiments.demo",
        "--shard=3/8",
        "--suite=nano",
    ]


def test_slurm_without_an_array_says_so(place):
    run = subprocess.run(
        ["bash", LAUNCH / "slurm.sh"],
        env={"PATH": os.environ["PATH"], "SLURM_SUBMIT_DIR": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "run me with sbatch --array" in run.stderr

"""A script ends cleanly at a signal of its first seconds, and does its work without an audience."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import job
import pytest

from experiments import endings

ROOT = Path(__file__).parents[2]
# Ends with an error before any work, so that a test that comes too late costs little.
SCRIPT = (sys.executable, "-m", "experiments.weights", "--suite=nanoo")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def start(**streams) -> subprocess.Popen:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    return subprocess.Popen(SCRIPT, cwd=ROOT, env=environment, text=True, **streams)


def catches_sigterm(process: subprocess.Popen) -> bool:
    """Whether the script's handlers are in place; before that, the interpreter itself starts."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)[1], 16)
    return bool(caught & 1 << (signal.SIGTERM - 1))


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="signals are seen by /proc")
@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("delay", [0, 0.05, 0.2, 0.5, 1.0])
def test_a_signal_of_the_first_seconds_leaves_no_traceback(number, delay):
    process = start(stderr=subprocess.PIPE)
    while process.poll() is None and not catches_sigterm(process):
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert "Traceback" not in words
    assert process.returncode in (CODES[number], 1)  # 1 where it had ended before
    if delay < 0.1:
        assert process.returncode == CODES[number]
        assert "same command" in words


@pytest.mark.long
def test_a_job_without_an_audience_computes(tmp_path, cache):
    flags = "--suite=smoke --steps=0 --models=smoke-16 --seeds=0 --nopictures"
    environment = {**os.environ, "DYNAMICS_CACHE": cache, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    environment |= job.QUICKLY_COMPILED
    for number, ends in enumerate(
        ("2>&-", "<&- >&- 2>&-", "2>&1 >/dev/null | true", "> /dev/full")
    ):
        folder = tmp_path / f"out{number}"
        command = f"{sys.executable} -m experiments.weights {flags} --out={folder} {ends}"
        subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, timeout=600)
        written = job.numbers(folder)
        assert list(written) == ["weights/smoke-16/seed0/step0.nc"], ends


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_become_null(closed):
    program = "from experiments import endings; import os, sys; endings.prepare_streams(); "
    program += "print('x'); endings.say('y'); file = open(os.devnull); "
    program += "os._exit(file.fileno() < 3)"
    command = ["bash", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program]
    # A file that is opened later gets no standard stream's number.
    assert subprocess.run(command, cwd=ROOT).returncode == 0


class Broken:
    """A stream whose reader is gone."""

    def write(self, text: str):
        raise BrokenPipeError

    flush = close = lambda self: None


def test_what_nobody_reads_is_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken())
    endings.say("words")
    with pytest.raises(SystemExit) as ended:
        endings.refuse("got an error")
    assert ended.value.code == 1

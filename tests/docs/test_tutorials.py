"""Every tutorial runs as it stands, from any folder, without a network."""

import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.py"))


def test_the_tutorials_are_there():
    assert {path.stem for path in TUTORIALS} >= {
        "add_a_question",
        "kl_of_your_models",
        "llc_of_your_loss",
        "load_and_save",
    }


@pytest.mark.long
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs(path, tmp_path):
    # A program that another process is just writing is compiled here too.
    unread = "ignore:Error reading persistent compilation cache entry"
    command = [sys.executable, "-W", "error", "-W", unread, str(path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
    assert not list(tmp_path.iterdir())  # it leaves nothing behind

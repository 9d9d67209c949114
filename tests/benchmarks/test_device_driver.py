"""Parts of the device checks that go wrong cost a line of their own and nothing else."""

import json
import os
import time
from pathlib import Path

import pytest

from benchmarks.device import driver, lines
from dynamics.errors import InputError

HERE = Path(__file__).parent
STATES = {
    "fine": lines.DONE,
    "without_peer": lines.DONE,
    "peer_out_of_memory": lines.DONE,
    "out_of_memory": lines.OUT_OF_MEMORY,
    "disagrees": lines.DISAGREES,
    "killed": lines.DIED,
    "hangs": lines.OVER_LIMIT,
    "last": lines.DONE,
}


@pytest.fixture
def checks(tmp_path, monkeypatch):
    """(total seconds, parts) -> a run of the toy parts."""
    monkeypatch.syspath_prepend(HERE)
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "TOY_CHILD": str(tmp_path / "child"),
    }

    def of(total_s: float, *only: str) -> driver.Checks:
        path = tmp_path / "results" / "checks.json"
        return driver.Checks("toy_parts", "dry", path, total_s, environment, only)

    return of


def is_running(process: int) -> bool:
    """A process that has ended and was not waited for does not run."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.long
def test_every_part_has_its_line_whatever_happens(checks, tmp_path):
    run = checks(300)
    yielded = list(run.run())
    assert {line.part: line.state for line in yielded} == STATES
    assert [line._asdict() for line in lines.read(run.path)] == [line._asdict() for line in yielded]
    by_name = {line.part: line for line in yielded}
    assert by_name["without_peer"].sentence().endswith("NoSuchPeer missing: no_such_peer")
    assert by_name["without_peer"].numbers["peer_s"] is None
    assert by_name["without_peer"].numbers["ours_s"]["median"] == 1.0
    assert by_name["peer_out_of_memory"].numbers["peer_absent"].startswith("out of memory: CUDA")
    assert by_name["out_of_memory"].reason == (
        "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."
    )
    assert all("\n" not in line.sentence() for line in yielded)
    assert by_name["killed"].reason.startswith("killed")
    # Neither the process of a part that was stopped nor what it started is left.
    assert by_name["hangs"].reason == "stopped after 12 s"
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 10
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(child)
    assert by_name["last"].numbers["sizes"] == "dry"
    assert by_name["last"].numbers["earlier"] == sorted(set(STATES) - {"last"})


def test_a_line_is_in_the_file_before_the_next_part_runs(checks):
    run = checks(300, "fine", "without_peer")
    running = run.run()
    first = next(running)
    assert [line.part for line in lines.read(run.path)] == [first.part]
    running.close()


def test_parts_that_the_time_does_not_reach_say_so(checks):
    assert {line.state for line in checks(0).run()} == {lines.NOT_REACHED}


def test_parts_are_chosen_by_name(checks):
    assert [line.part for line in checks(300, "fine").run()] == ["fine"]
    with pytest.raises(InputError, match=r"unknown part 'fin'.*Did you mean fine"):
        checks(300, "fin")


def test_numbers_that_json_lacks_are_none(tmp_path):
    path = tmp_path / "checks.json"
    numbers = {"rate": float("nan"), "rates": [float("inf"), 1.0]}
    lines.append(path, lines.Line("rates", lines.DONE, 1.0, "", numbers))
    assert json.loads(path.read_text())["numbers"] == {"rate": None, "rates": [None, 1.0]}


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "checks.json"
    for text in ('{"part": "rates"}\n', "no json\n", "[1]\n"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"checks\.json, which cannot be read"):
            lines.read(path)
    with pytest.raises(InputError, match=r"device_checks\.sh"):
        lines.read(tmp_path / "absent.json")

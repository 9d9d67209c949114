"""Runs the parts, each within its limit, and writes a line for each as soon as it is known.

A part that fails, dies or takes too long costs its own line and nothing else: the parts after it in
its process are taken up by a new process.
"""

import contextlib
import importlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from benchmarks.device import lines
from benchmarks.device.part import Part
from dynamics.errors import InputError

ROOT = Path(__file__).parents[2]
_GRACE_S = 2.0  # less than this is no time to start a process in


class Checks:
    """One run over all parts."""

    def __init__(
        self,
        module: str,
        sizes: Literal["full", "dry"],
        path: Path,
        total_s: float,
        environment: Mapping[str, str],
        only: Sequence[str] = (),
    ):
        """`module`.PARTS are run at `sizes` within `total_s` seconds, or those named in `only`.

        Lines go to `path`, and what the parts print to a file of the same name that ends in .log.

        Raises:
            InputError: a name in `only` that is no part's.
        """
        self.module, self.sizes, self.path = module, sizes, path
        parts: tuple[Part, ...] = importlib.import_module(module).PARTS
        names = [part.name for part in parts]
        for name in only:
            if name not in names:
                raise InputError.unknown("part", name, names)
        self.parts = tuple(part for part in parts if not only or part.name in only)
        self.deadline = time.monotonic() + total_s
        self.environment = dict(environment)
        self.numbers: dict[str, dict] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def run(self) -> Generator[lines.Line, None, None]:
        """Yields each line once it is in the file; its `close` ends the process under way."""
        for _, group in itertools.groupby(self.parts, key=lambda part: part.process):
            remaining = list(group)
            while remaining:
                for line in self._process(tuple(remaining)):
                    remaining.pop(0)
                    lines.append(self.path, line)
                    self.numbers[line.part] = line.numbers
                    yield line

    def _process(self, parts: tuple[Part, ...]) -> Iterator[lines.Line]:
        """The lines of one process: of all `parts`, or up to the first that went wrong."""
        if self.deadline - time.monotonic() < _GRACE_S:
            yield from (lines.Line(part.name, lines.NOT_REACHED, 0.0) for part in parts)
            return
        reading, writing = os.pipe()
        names = [part.name for part in parts]
        command = [sys.executable, "-m", "benchmarks.device.worker", self.module, self.sizes]
        with self.path.with_suffix(".log").open("a") as log:
            process = subprocess.Popen(
                [*command, str(writing), *names],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                pass_fds=(writing,),
                start_new_session=True,  # so that what it starts ends with it
            )
            os.close(writing)
            try:
                assert process.stdin is not None
                # A worker that ended before it read them is told by its end.
                with contextlib.suppress(BrokenPipeError), process.stdin as earlier:
                    json.dump(self.numbers, earlier)
                for part in parts:
                    line = self._line(part, process, reading)
                    yield line
                    if line.state != lines.DONE:
                        return
            finally:
                _end(process)
                os.close(reading)

    def _line(self, part: Part, process: subprocess.Popen, pipe: int) -> lines.Line:
        """The part's line, as the worker tells it or as its end does."""
        start = time.monotonic()
        until = min(start + part.limit_s, self.deadline)

        def seconds() -> float:
            return time.monotonic() - start

        text = _received(pipe, until)
        if text:
            return lines.Line(*json.loads(text))
        if text is None:
            reason = f"stopped after {seconds():.0f} s"
            return lines.Line(part.name, lines.OVER_LIMIT, seconds(), reason)
        process.wait()
        return lines.Line(part.name, lines.DIED, seconds(), _cause(process.returncode))


def _received(pipe: int, until: float) -> str | None:
    """The next line from the pipe: "" where the worker ended, None where the time is up."""
    text = b""
    while not text.endswith(b"\n"):
        if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
            return None
        # Byte by byte: what is read ahead would be lost to the next select.
        if not (byte := os.read(pipe, 1)):
            return ""
        text += byte
    return text.decode()


def _cause(code: int) -> str:
    if code == -signal.SIGKILL:
        return "killed, as by a machine that is out of memory"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _end(process: subprocess.Popen):
    """Kills what is left of the process and of whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

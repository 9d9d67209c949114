"""Processes forked from one that has imported what every script imports.

Importing takes seconds of CPU, more than most jobs of tests compute. A forked process has the
environment, folder and streams that it is given, runs one module as `python -m` does, and ends as
any other.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Read by the scripts when they run. All other variables may be read where a package is imported.
_READ_LATE = ("DYNAMICS_CACHE", "PYTEST_CURRENT_TEST")
_MOST_SERVERS = 3
_servers: dict[tuple, "_Server"] = {}


@atexit.register
def _close_all():
    for server in _servers.values():
        server.close()


class Process:
    """A running job, with the part of `subprocess.Popen` that tests need."""

    def __init__(self, status: socket.socket, streams: list):
        self._status, self._streams = status, streams
        self._said = b""
        self.pid = int(self._line(60))
        self.returncode: int | None = None

    def _line(self, timeout: float | None) -> str | None:
        """The next line that the watcher writes; None where there is none in time."""
        end = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._said:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._status], [], [], left)[0]:
                return None
            more = self._status.recv(100)
            if not more:
                raise RuntimeError("the process that forks jobs has ended")
            self._said += more
        line, self._said = self._said.split(b"\n", 1)
        return line.decode()

    def poll(self) -> int | None:
        return self.wait(timeout=0)

    def wait(self, timeout: float | None = None) -> int | None:
        if self.returncode is None and (line := self._line(timeout)) is not None:
            self.returncode = int(line)
            self._status.close()
        return self.returncode

    def send_signal(self, how: signal.Signals):
        if self.poll() is None:
            os.kill(self.pid, how)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """(standard output, standard error) once it has ended; `subprocess.TimeoutExpired` where it
        has not in time, after a SIGKILL."""
        if self.wait(timeout) is None:
            self.send_signal(signal.SIGKILL)
            self.wait()
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        texts = []
        for stream in self._streams:
            stream.seek(0)
            texts.append(stream.read().decode())
            stream.close()
        return texts[0], texts[1]


class _Server:
    """The process that imports and forks. It ends with the one that started it."""

    def __init__(self, environment: dict[str, str], folder: Path):
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env=environment,
                cwd=folder,
                pass_fds=[theirs.fileno()],
            )

    def start(self, module: str, flags: list[str], environment: dict[str, str]) -> Process:
        streams = [tempfile.TemporaryFile() for _ in ("stdout", "stderr")]  # noqa: SIM115
        ours, theirs = socket.socketpair()
        request = json.dumps([module, flags, environment]).encode()
        with theirs:
            self._socket.sendall(len(request).to_bytes(4, "big"))
            descriptors = [*(stream.fileno() for stream in streams), theirs.fileno()]
            socket.send_fds(self._socket, [request[:1]], descriptors)
            self._socket.sendall(request[1:])
        return Process(ours, streams)

    def close(self):
        self._socket.close()
        self._process.wait()


def start(module: str, flags: list[str], environment: dict[str, str], folder: Path) -> Process:
    """Runs `module` with `flags` in `folder`, with no variable but those of `environment`."""
    key = (folder, *sorted(x for x in environment.items() if x[0] not in _READ_LATE))
    if key not in _servers:
        while len(_servers) >= _MOST_SERVERS:
            _servers.pop(next(iter(_servers))).close()
        _servers[key] = _Server(environment, folder)
    return _servers[key].start(module, flags, environment)


def _import_what_scripts_import():
    import pkgutil

    import h5netcdf  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import orbax.checkpoint  # noqa: F401
    import scipy.stats  # noqa: F401

    import dynamics

    for package in pkgutil.walk_packages(dynamics.__path__, "dynamics."):
        __import__(package.name)
    # pandas imports pyarrow where a peer has brought it, whose allocator has a thread of its own
    # and survives a fork.
    names = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    if len([name for name in names if name != "jemalloc_bg_thd"]) > 1:
        raise RuntimeError(f"imports have started threads, which a fork would lose: {names}")


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            os._exit(0)  # the tests have ended
        data += more
    return data


def _serve(connection: socket.socket) -> tuple[str, list[str]]:
    """Forks a watcher for every request, and the watcher a job: returns in the job alone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # watchers need no one to wait for them
    while True:
        size = int.from_bytes(_exactly(connection, 4), "big")
        first, descriptors, *_ = socket.recv_fds(connection, 1, 3)
        module, flags, environment = json.loads(first + _exactly(connection, size - 1))
        if os.fork() == 0:
            connection.close()
            return _watched(module, flags, environment, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watched(module, flags, environment, stdout: int, stderr: int, status: int):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    job = os.fork()
    if job:
        with contextlib.suppress(BrokenPipeError):
            os.write(status, f"{job}\n".encode())
            _, how = os.waitpid(job, 0)
            os.write(status, f"{os.waitstatus_to_exitcode(how)}\n".encode())
        os._exit(0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for descriptor in (stdout, stderr, status):
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    # A background shell hands its children an ignored SIGINT; a user at a terminal has this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return module, flags


if __name__ == "__main__":
    import runpy

    sys.path[0] = os.getcwd()  # as for `python -m`
    _import_what_scripts_import()
    name, arguments = _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)

"""A file or folder is there whole or not at all, whatever fails, and no litter stays."""

import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dynamics import files
from dynamics.errors import InputError

OLD, NEW = b"old" * 1000, b"new" * 70_000


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def small_disk():
    """No file can grow beyond 100 kB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def killed_rename(monkeypatch):
    def killed(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    monkeypatch.setattr(Path, "rename", killed)


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    for content in (OLD, NEW, b""):
        assert files.write_atomically(path, content) == path
        assert path.read_bytes() == content
    files.write_atomically(str(path), "é")
    assert path.read_bytes() == "é".encode()
    assert names(path.parent) == ["file"]


def test_a_written_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_bytes(OLD)
    path = files.write_atomically(tmp_path / "file", OLD)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_the_old_file(tmp_path):
    files.write_atomically(tmp_path / "file", OLD)
    with pytest.raises(InputError, match=r"file, which cannot be written \(File too large\).*room"):
        files.write_atomically(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == OLD
    assert names(tmp_path) == ["file"]


def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path, request):
    files.write_atomically(tmp_path / "file", OLD)
    request.getfixturevalue("killed_rename")
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == OLD
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("target", ["folder", "plain/file"])
def test_a_place_that_takes_no_file(tmp_path, target):
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    (tmp_path / "plain").write_bytes(OLD)
    with pytest.raises(InputError, match=f"{target}, which cannot be written .*Free some space"):
        files.write_atomically(tmp_path / target, NEW)
    assert names(tmp_path) == ["folder", "plain"]
    assert names(tmp_path / "folder") == ["inside"]


def test_bytes_are_on_disk_before_they_have_their_name(tmp_path, monkeypatch):
    calls = []
    flush, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("flush"), flush(fd))[1])
    monkeypatch.setattr(
        Path, "replace", lambda self, target: (calls.append("name"), replace(self, target))[1]
    )
    files.write_atomically(tmp_path / "file", NEW)
    assert calls == ["flush", "name", "flush"]


def test_writers_at_once_each_write_a_whole_file(tmp_path):
    contents = [bytes([k]) * 100_000 for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda c: files.write_atomically(tmp_path / "file", c), contents * 5):
            assert (tmp_path / "file").read_bytes() in contents
    assert names(tmp_path) == ["file"]


KILLED = """
import sys
from pathlib import Path
from dynamics import files
k = 0
while True:
    files.write_atomically(Path(sys.argv[1]), bytes([k % 251]) * 300_000)
    k += 1
    print(flush=True)
"""


def test_a_killed_process_leaves_a_whole_file(tmp_path):
    for writes in range(1, 4):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "file")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            for _ in range(writes):
                process.stdout.readline()
            process.kill()
        content = (tmp_path / "file").read_bytes()
        assert len(content) == 300_000
        assert len(set(content)) == 1
    assert [name for name in names(tmp_path) if not name.startswith(".")] == ["file"]


def filled(content: bytes):
    return lambda folder: (folder / "x").write_bytes(content)


def test_a_folder_is_written_and_replaced_whole(tmp_path):
    folder = tmp_path / "a" / "folder"
    files.write_folder_atomically(folder, lambda empty: (empty / "older").write_bytes(OLD))
    assert files.write_folder_atomically(folder, filled(NEW)) == folder
    assert names(folder) == ["x"]
    assert (folder / "x").read_bytes() == NEW
    assert names(tmp_path / "a") == ["folder"]


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_the_old_folder(tmp_path):
    folder = files.write_folder_atomically(tmp_path / "folder", filled(OLD))
    with pytest.raises(InputError, match=r"folder, which cannot be written \(File too large\)"):
        files.write_folder_atomically(folder, filled(NEW))
    assert (folder / "x").read_bytes() == OLD
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_rename_leaves_the_old_folder(tmp_path, monkeypatch, failing):
    folder = files.write_folder_atomically(tmp_path / "folder", filled(OLD))
    rename, calls = Path.rename, []

    def failing_rename(self, target):
        calls.append(self)
        if len(calls) == failing:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing_rename)
    with pytest.raises(KeyboardInterrupt):
        files.write_folder_atomically(folder, filled(NEW))
    assert (folder / "x").read_bytes() == OLD
    assert names(tmp_path) == ["folder"]


def test_an_error_while_filling_is_passed_on(tmp_path):
    def fill(folder: Path):
        (folder / "x").write_bytes(NEW)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        files.write_folder_atomically(tmp_path / "folder", fill)
    assert names(tmp_path) == []


def test_a_file_stands_where_the_folder_should(tmp_path):
    (tmp_path / "x").write_bytes(OLD)
    with pytest.raises(InputError, match="x, which is a file"):
        files.write_folder_atomically(tmp_path / "x", filled(NEW))
    assert (tmp_path / "x").read_bytes() == OLD


def test_whether_a_folder_can_be_written(tmp_path):
    files.check_writable(tmp_path / "new" / "out", name="--out=out")
    assert names(tmp_path / "new" / "out") == []
    (tmp_path / "plain").write_bytes(OLD)
    with pytest.raises(InputError, match=r"got --out=plain, which cannot be written"):
        files.check_writable(tmp_path / "plain", name="--out=plain")

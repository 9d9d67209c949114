"""Revisions come whole, share blobs, survive kills, and make room for each other."""

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import huggingface_hub.constants
import pytest
from hub_server import serving

from dynamics.checkpoints import hub
from dynamics.checkpoints.hub.store import place
from dynamics.errors import InputError

REPO = "acme/tiny"
SIZE = 200_000


def weights(seed: int, size: int = SIZE) -> bytes:
    return bytes((seed + k) % 251 for k in range(size))


SHARDS = {f"model-0000{k}-of-00003.safetensors": weights(10 + k) for k in (1, 2, 3)}
INDEX = json.dumps({"weight_map": {f"tensor{k}": name for k, name in enumerate(SHARDS)}}).encode()
COMMON = {
    "config.json": b'{"hidden_size": 3}',
    "tokenizer.json": b'{"model": {}}',
    "README.md": b"# tiny",
}
TORCH = {
    name.replace("model", "pytorch_model").replace("safetensors", "bin"): body
    for name, body in SHARDS.items()
}
TORCH_INDEX = INDEX.replace(b"model-", b"pytorch_model-").replace(b".safetensors", b".bin")
LAYOUTS = {
    "single": {"model.safetensors": weights(1), "pytorch_model.bin": weights(2)},
    "sharded": {**SHARDS, "model.safetensors.index.json": INDEX, "pytorch_model.bin": weights(2)},
    "torch": {"pytorch_model.bin": weights(2)},
    "torch-sharded": {**TORCH, "pytorch_model.bin.index.json": TORCH_INDEX},
}
WANTED = {
    "single": {"model.safetensors"},
    "sharded": {*SHARDS, "model.safetensors.index.json"},
    "torch": {"pytorch_model.bin"},
    "torch-sharded": {*TORCH, "pytorch_model.bin.index.json"},
}


@pytest.fixture
def server(tmp_path, monkeypatch):
    branches = {name: {**COMMON, **files} for name, files in LAYOUTS.items()}
    branches |= {f"step{k}": {**COMMON, "model.safetensors": weights(k)} for k in range(4)}
    # The last step serves the weights of another, as faulty uploads do.
    branches["step4"] = {**branches["step1"], "config.json": b'{"hidden_size": 5}'}
    with serving({REPO: branches}, monkeypatch, tmp_path) as server:
        yield server


def assert_whole(folder: Path, files: dict[str, bytes], names=None):
    for name in names or files.keys() - {"README.md"}:
        assert (folder / name).read_bytes() == files[name], name


def bytes_kept() -> int:
    return sum(path.stat().st_size for path in place(REPO).glob("blobs/*"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_needed_comes_and_no_more(server, layout):
    assert hub.find_local(REPO, layout) is None
    folder = hub.fetch(REPO, layout)
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", "tokenizer.json", "complete", *WANTED[layout]}
    assert_whole(folder, server.repos[REPO][layout], names - {"complete"})
    before = server.count()
    hub.reset()
    assert hub.fetch(REPO, layout) == hub.find_local(REPO, layout) == folder
    assert hub.fetch(REPO, server.commit(REPO, layout)) == folder
    assert server.count() == before


def test_branches_share_what_they_share(server):
    first, second = hub.fetch(REPO, "step1"), hub.fetch(REPO, "step4")
    assert first != second
    assert (first / "model.safetensors").samefile(second / "model.safetensors")
    assert server.bytes_of("model.safetensors") == SIZE
    assert_whole(second, server.repos[REPO]["step4"])


@pytest.mark.parametrize("place", ["weights", "hugging face"])
def test_what_lies_on_this_machine_is_not_fetched(server, tmp_path, place):
    folder = tmp_path / "weights" / REPO / "step0"
    if place == "hugging face":
        folder = tmp_path / "hf" / "models--acme--tiny" / "snapshots" / ("a" * 40)
        (folder.parents[1] / "refs").mkdir(parents=True)
        (folder.parents[1] / "refs" / "step0").write_text("a" * 40)
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(server.repos[REPO]["step0"][name])
    assert hub.fetch(REPO, "step0", tmp_path / "weights") == folder
    assert hub.find_local(REPO, "step0", tmp_path / "weights") == folder
    assert server.count() == 0


@pytest.mark.parametrize(
    "lacking", ["config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json"]
)
def test_a_partial_folder_of_the_hugging_face_cache_is_not_taken(server, tmp_path, lacking):
    folder = tmp_path / "hf" / "models--acme--tiny" / "snapshots" / ("a" * 40)
    (folder.parents[1] / "refs").mkdir(parents=True)
    (folder.parents[1] / "refs" / "sharded").write_text("a" * 40)
    folder.mkdir(parents=True)
    for name in {"config.json", *WANTED["sharded"]} - {lacking}:
        (folder / name).write_bytes(server.repos[REPO]["sharded"][name])
    assert hub.find_local(REPO, "sharded") is None
    assert_whole(hub.fetch(REPO, "sharded"), server.repos[REPO]["sharded"], WANTED["sharded"])


def test_offline_asks_nobody(server, tmp_path, monkeypatch):
    folder = hub.fetch(REPO, "step1")
    before = server.count()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub.reset()
    assert hub.fetch(REPO, "step1") == folder
    place = tmp_path / "w"
    with pytest.raises(
        InputError,
        match=f"--revision step2` .*--local-dir {place}/acme/tiny/step2`.*--weights={place}",
    ):
        hub.fetch(REPO, "step2", place)
    with pytest.raises(
        InputError, match=r"at revision main, whose weights are not on this machine"
    ):
        hub.fetch("acme/other")
    assert server.count() == before


@pytest.mark.parametrize(
    ("kind", "number", "times"),
    [
        ("cut", 70_000, 3),
        ("status", 500, 3),
        ("status", 429, 3),
        ("wrong", 0, 1),
        ("whole", 0, 9),
        ("slow", 0.002, 9),
    ],
)
def test_a_revision_arrives_through_passing_faults(server, kind, number, times):
    server.fail("/cdn/", kind, number, times)
    assert_whole(hub.fetch(REPO, "sharded"), server.repos[REPO]["sharded"], WANTED["sharded"])


@pytest.mark.parametrize("part", ["config.json", "model-00002", "index.json", "tokenizer"])
@pytest.mark.parametrize("kind", ["wrong", "html", "status"])
def test_a_fault_that_stays_leaves_nothing_to_be_read(server, part, kind):
    server.fail(part, kind, 503, 99)
    with pytest.raises(InputError, match=r"digest|html page|status 503"):
        hub.fetch(REPO, "sharded")
    assert hub.find_local(REPO, "sharded") is None
    server.heal()
    assert_whole(hub.fetch(REPO, "sharded"), server.repos[REPO]["sharded"], WANTED["sharded"])


@pytest.mark.parametrize(
    "lacking", ["config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json"]
)
def test_a_revision_that_lacks_files_is_refused(server, lacking):
    files = server.repos[REPO]["sharded"]
    del files[lacking], files["pytorch_model.bin"]
    with pytest.raises(
        InputError, match=r"acme/tiny at revision sharded (without|with 1 of 3 shards missing)"
    ):
        hub.fetch(REPO, "sharded")
    assert hub.find_local(REPO, "sharded") is None


def test_a_file_that_vanished_from_the_store_comes_again(server):
    folder = hub.fetch(REPO, "step1")
    (folder / "model.safetensors").resolve().unlink()
    assert hub.find_local(REPO, "step1") is None
    assert_whole(hub.fetch(REPO, "step1"), server.repos[REPO]["step1"])


def wait_for(ready, seconds: float = 60):
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.long
def test_a_killed_download_goes_on_in_the_next_process(server):
    size = 2_000_000
    server.repos[REPO]["big"] = {**COMMON, "model.safetensors": weights(3, size)}
    server.fail("/cdn/", "slow", 0.03, 1)
    program = f"from dynamics.checkpoints import hub; hub.fetch({REPO!r}, 'big')"
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "HF_HUB_OFFLINE": "0"}
    )
    blobs = place(REPO) / "blobs"
    wait_for(lambda: any(path.stat().st_size > size // 3 for path in blobs.glob("*.incomplete")))
    assert hub.find_local(REPO, "big") is None
    process.kill()
    process.wait()
    (left,) = blobs.glob("*.incomplete")
    have = left.stat().st_size
    assert size // 3 < have < size
    assert hub.find_local(REPO, "big") is None
    time.sleep(0.2)  # until the server has noticed
    before = server.bytes_of("model.safetensors")
    assert_whole(hub.fetch(REPO, "big"), server.repos[REPO]["big"])
    assert server.bytes_of("model.safetensors") - before == size - have
    assert not list(blobs.glob("*.incomplete"))


@pytest.mark.long
def test_an_interrupt_ends_a_download_and_keeps_what_it_has(server):
    server.fail("/cdn/", "slow", 0.5, 9)
    # A job in the background inherits the signal ignored.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heed}; from dynamics.checkpoints import hub; hub.fetch({REPO!r}, 'sharded')"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
        stderr=subprocess.PIPE,
    )
    begun_shards = "blobs/" + "?" * 64 + ".incomplete"
    wait_for(lambda: any(path.stat().st_size for path in place(REPO).glob(begun_shards)))
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, stderr = process.communicate()
    assert time.monotonic() - begun < 3  # the whole takes 6.5
    assert stderr.strip().endswith(b"KeyboardInterrupt")
    assert any(path.stat().st_size for path in place(REPO).glob(begun_shards))
    assert hub.find_local(REPO, "sharded") is None


def test_a_reader_sees_a_whole_revision_or_none(server):
    server.fail("/cdn/", "slow", 0.01, 9)
    thread = threading.Thread(target=hub.fetch, args=(REPO, "sharded"))
    thread.start()
    looks = 0
    while thread.is_alive():
        folder = hub.find_local(REPO, "sharded")
        if folder:
            assert_whole(folder, server.repos[REPO]["sharded"], WANTED["sharded"])
        looks += folder is None
    thread.join()
    assert looks > 3


def test_those_who_want_one_revision_bring_it_once(server):
    server.fail("/cdn/", "slow", 0.01, 99)
    threads = [threading.Thread(target=hub.fetch, args=(REPO, "sharded")) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.bytes_of(".safetensors") == 3 * SIZE
    assert_whole(hub.find_local(REPO, "sharded"), server.repos[REPO]["sharded"], WANTED["sharded"])


def test_files_of_one_revision_come_together(server):
    server.fail("/cdn/", "slow", 0.05, 99)
    begun = time.monotonic()
    hub.fetch(REPO, "sharded")
    assert time.monotonic() - begun < 0.75 * 3 * 0.05 * 13  # of three shards, 13 pieces each


def are_stored(*steps: int) -> list[bool]:
    return [hub.find_local(REPO, f"step{step}") is not None for step in steps]


def test_the_longest_unused_make_room(server):
    budget = hub.Budget((2 * SIZE + 5000) * 1e-9)
    for step in range(3):
        folder = budget.fetch(REPO, f"step{step}")
        budget.release(REPO, f"step{step}")
        time.sleep(0.02)
    assert_whole(folder, server.repos[REPO]["step2"])
    assert bytes_kept() < 2 * SIZE + 5000
    assert [bool(hub.find_local(REPO, f"step{k}")) for k in (0, 1, 2)] == [False, True, True]
    time.sleep(0.02)
    budget.fetch(REPO, "step1")  # now step2 is the one longest unused
    budget.fetch(REPO, "step3")
    budget.release(REPO, "step3")
    budget.release(REPO, "step1")
    assert are_stored(1, 2, 3) == [True, False, True]


def test_what_is_pinned_stays_even_above_the_limit(server):
    budget, other = hub.Budget(0), hub.Budget(0)
    folders = {step: budget.fetch(REPO, f"step{step}") for step in (0, 1)}
    other.fetch(REPO, "step2")
    other.release(REPO, "step2")
    assert are_stored(0, 1, 2) == [True, True, False]
    budget.fetch(REPO, "step0")
    budget.release(REPO, "step0")
    for step, folder in folders.items():
        assert_whole(folder, server.repos[REPO][f"step{step}"])
    budget.release(REPO, "step0")  # as often as it was fetched
    assert are_stored(0, 1) == [False, True]
    budget.release(REPO, "step1")
    assert bytes_kept() == 0


def test_a_pin_ends_with_its_process_and_binds_others(server):
    program = (
        "import sys; from dynamics.checkpoints import hub\n"
        f"hub.Budget(0).fetch({REPO!r}, 'step0')\n"
        "print('pinned', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "0"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes) as process:
        assert process.stdout.readline() == b"pinned\n"
        hub.evict(0)
        assert are_stored(0) == [True]
        process.kill()
    hub.evict(0)
    assert are_stored(0) == [False]


def test_shared_files_stay_as_long_as_one_needs_them(server):
    budget = hub.Budget(0)
    hub.fetch(REPO, "step1")
    folder = budget.fetch(REPO, "step4")
    hub.evict(0)
    assert are_stored(1, 4) == [False, True]
    assert_whole(folder, server.repos[REPO]["step4"])
    budget.release(REPO, "step4")


def test_eviction_leaves_other_places_alone(server, tmp_path):
    for root in (tmp_path / "hf", tmp_path / "cache" / "nano"):
        root.mkdir(parents=True)
        (root / "file").write_bytes(weights(0))
    (place(REPO) / "blobs").mkdir(parents=True)
    (place(REPO) / "blobs" / ("e" * 64)).write_bytes(weights(0))
    (place(REPO) / "blobs" / (("f" * 64) + ".rejected")).write_bytes(weights(0))
    hub.fetch(REPO, "step0")
    hub.evict(SIZE + 5000)
    assert are_stored(0) == [True]
    assert bytes_kept() < SIZE + 5000
    hub.evict(0)
    assert {path.name for path in tmp_path.rglob("file")} == {"file"}
    assert len(list(tmp_path.rglob("file"))) == 2


AT_ONCE = """
import hashlib, random, sys, time
from dynamics.checkpoints import hub

repo, seed, limit = sys.argv[1:]
draw, budget = random.Random(int(seed)), hub.Budget(float(limit) * 1e-9)
end, read = time.monotonic() + 3, 0
while time.monotonic() < end:
    revisions = draw.sample([f"step{k}" for k in range(5)] + ["sharded"], 2)
    for revision in revisions:
        for path in budget.fetch(repo, revision).iterdir():
            content, name = path.read_bytes(), path.resolve().name
            git = hashlib.sha1(b"blob %d\\0" % len(content) + content).hexdigest()
            assert name in ("complete", git, hashlib.sha256(content).hexdigest()), path
            read += 1
    for revision in revisions:
        budget.release(repo, revision)
assert read > 20
"""


@pytest.mark.long
def test_processes_that_fetch_and_evict_at_once(server):
    """What a process has pinned it can read, whatever others remove meanwhile."""
    run = functools.partial(subprocess.Popen, env={**os.environ, "HF_HUB_OFFLINE": "0"})
    limits = (0, 0, 2 * SIZE)
    jobs = [
        run([sys.executable, "-c", AT_ONCE, REPO, str(k), str(limit)])
        for k, limit in enumerate(limits)
    ]
    assert [job.wait(60) for job in jobs] == [0, 0, 0]
    hub.evict(0)
    assert bytes_kept() == 0


@pytest.mark.parametrize("gigabytes", [-1, float("nan")])
def test_budgets_that_make_no_sense(gigabytes):
    with pytest.raises(InputError, match="a budget of"):
        hub.Budget(gigabytes)


def test_a_sweep_ahead_of_itself_within_a_budget(server):
    budget = hub.Budget(0)
    for step, folder in hub.prefetched(
        range(4),
        lambda step: budget.fetch(REPO, f"step{step}"),
        release=lambda step: budget.release(REPO, f"step{step}"),
    ):
        assert bytes_kept() <= 2 * (SIZE + 1000)
        assert_whole(folder, server.repos[REPO][f"step{step}"])
    assert bytes_kept() == 0
    assert server.bytes_of("model.safetensors") == 4 * SIZE

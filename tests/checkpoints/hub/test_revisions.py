"""Revisions, listings and single tensors of a hub; a refusal names what was asked for."""

import json
import math

import huggingface_hub.constants
import numpy as np
import pytest
import safetensors.numpy
from hub_server import serving, sha256
from make_torch_zip import state_dict

from dynamics.checkpoints import hub
from dynamics.checkpoints.formats import detect
from dynamics.checkpoints.hub.client import client
from dynamics.checkpoints.hub.remote_tensors import RemoteBytes
from dynamics.checkpoints.hub.store import place
from dynamics.checkpoints.hub.transfer import Client
from dynamics.errors import InputError

RNG = np.random.default_rng(0)
A = {f"layer.{k}.weight": RNG.normal(size=(127, 331)).astype(np.float32) for k in range(4)}
B = {"head.weight": RNG.normal(size=(61, 7)).astype(np.float16)}
ONE = {"config.json": b"{}", "model.safetensors": safetensors.numpy.save({**A, **B})}
SHARDS = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
SPLIT = {
    "config.json": b"{}",
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {**dict.fromkeys(A, SHARDS[0]), **dict.fromkeys(B, SHARDS[1])}}
    ).encode(),
    SHARDS[0]: safetensors.numpy.save(A),
    SHARDS[1]: safetensors.numpy.save(B),
}
TORCH = {"config.json": b"{}", "pytorch_model.bin": state_dict({**A, **B})}
REPO = "acme/tiny"
STEPS = [f"step{step}" for step in (0, *(2**k for k in range(10)), *range(1000, 144_000, 1000))]


@pytest.fixture
def server(tmp_path, monkeypatch):
    branches = {step: {**ONE, "config.json": step.encode()} for step in STEPS}
    with serving(
        {REPO: {"main": ONE, "split": SPLIT, "torch": TORCH, **branches}}, monkeypatch, tmp_path
    ) as server:
        yield server


def test_refs_and_listing_are_what_the_hub_holds(server):
    assert set(hub.list_revisions(REPO)) == {"main", "split", "torch", *STEPS}
    listing = hub.list_files(REPO, "split")
    assert (listing.repo, listing.revision, listing.commit) == (
        REPO,
        "split",
        server.commit(REPO, "split"),
    )
    assert {name: file.size for name, file in listing.files.items()} == {
        name: len(body) for name, body in SPLIT.items()
    }
    assert listing.files[SHARDS[0]].sha256 == sha256(SPLIT[SHARDS[0]])
    assert listing.files["config.json"].sha256 is None
    assert listing.weights() == "model.safetensors.index.json"
    assert hub.list_files(REPO, listing.commit).files == listing.files


LONG = "é" * 190  # percent-encoded, longer than a file's name may be


@pytest.mark.parametrize(
    ("revision", "branch"),
    [
        *(("main", "main"), ("refs/heads/main", "main"), ("refs/tags/split", "split")),
        *(("refs/pr/3", "refs/pr/3"), ("refs/pr/12", "refs/pr/12"), (LONG, LONG)),
        *(
            (name, None)
            for name in ("refs/pr/4", "refs/pr/x", "refs/heads/none", "refs/none", "no")
        ),
        *((name, None) for name in ("refs/convert/parquet", "REFS/PR/3")),
    ],
)
def test_names_of_revisions(tmp_path, monkeypatch, revision, branch):
    other = {"main": ONE, "split": SPLIT}
    pulled = {
        name: {**ONE, "config.json": name.encode()} for name in ("refs/pr/3", "refs/pr/12", LONG)
    }
    with serving({REPO: {**other, **pulled}}, monkeypatch, tmp_path) as server:
        assert hub.find_commit(REPO, revision) == (branch and server.commit(REPO, branch))
        if branch is None:
            with pytest.raises(InputError, match=f"unknown revision of {REPO} '{revision}'"):
                hub.fetch(REPO, revision)
            return
        folder = hub.fetch(REPO, revision)
        config = (other | pulled)[branch]["config.json"]
        assert (folder / "config.json").read_bytes() == config
        requests = server.count()
        assert hub.fetch(REPO, revision) == folder == hub.find_local(REPO, revision)
        assert server.count() == requests


@pytest.mark.parametrize(
    "revision", ["", "/", "refs//pr", "refs/../x", "a/", "..", "a\nb", "x" * 201, "a\0", "\x1b[31m"]
)
def test_what_cannot_name_a_revision(revision):
    with pytest.raises(InputError, match="for a revision of"):
        hub.find_commit(REPO, revision)


def test_looking_at_every_branch_again_costs_one_request(server):
    first = [hub.list_files(REPO, step) for step in STEPS]
    assert server.count() == len(STEPS) + 1
    hub.reset()  # as a new process would be
    assert [hub.list_files(REPO, step) for step in STEPS] == first
    assert server.count() == len(STEPS) + 2
    assert server.count("/refs") == 2


def test_a_damaged_listing_on_disk_is_asked_for_again(server):
    first = hub.list_files(REPO)
    (stored,) = place(REPO).glob("listings/*")
    for damaged in ("", "[{}]", "[3]", "{", '[{"rfilename": "x", "size": 3, "blobId": "../../x"}]'):
        stored.write_text(damaged)
        assert hub.list_files(REPO) == first
    assert server.count("/revision/") == 6


def test_a_small_file_is_verified(server):
    listing = hub.list_files(REPO, "step512")
    assert hub.read_file(REPO, listing.commit, "config.json") == b"step512"
    server.fail("config.json", "wrong")
    with pytest.raises(InputError, match=r"config.json of acme/tiny .* with digest"):
        hub.read_file(REPO, listing.commit, "config.json")
    with pytest.raises(
        InputError, match=r"unknown file of .* 'confg.json'.*Did you mean config.json"
    ):
        hub.read_file(REPO, listing.commit, "confg.json")


def test_one_tensor_costs_little_more_than_its_bytes(server):
    for revision, index in (
        ("main", b""),
        ("torch", b""),
        ("split", SPLIT["model.safetensors.index.json"]),
    ):
        before = sum(map(server.bytes_of, (".safetensors", ".bin", "index.json")))
        for name in ("layer.2.weight", "head.weight"):
            tensor = hub.remote_tensor(REPO, revision, name)
            assert tensor.dtype == (np.float16 if name in B else np.float32)
            np.testing.assert_array_equal(tensor, {**A, **B}[name])
        own = A["layer.2.weight"].nbytes + B["head.weight"].nbytes
        cost = sum(map(server.bytes_of, (".safetensors", ".bin", "index.json"))) - before
        # Beside them, for each: an index, and the head of a file; of torch's its end too.
        ends = 2 if revision == "torch" else 1
        assert cost <= own + 2 * (len(index) + ends * detect.FIRST_BYTES + 500)


def test_a_folder_on_the_hub_reads_as_one_on_disk(server):
    for revision in ("main", "split", "torch"):
        folder = hub.RemoteFolder(REPO, revision)
        assert folder.names() == {*A, *B}
        assert folder.shape("head.weight") == (61, 7)
        with pytest.raises(InputError, match=r"layer\.9\.weight"):
            folder.read("layer.9.weight")


def test_remote_bytes_are_one_request_each(server):
    listing = hub.list_files(REPO)
    body = ONE["model.safetensors"]
    url = f"{server.url}/{REPO}/resolve/{listing.commit}/model.safetensors"
    source = RemoteBytes(client(), url, len(body), "the file")
    for start, stop in ((0, 8), (1000, 5000), (len(body) - 3, len(body))):
        assert bytes(source.read(start, stop)) == body[start:stop]
    assert server.count("/cdn/") == 3
    assert server.bytes_of("model.safetensors") == 8 + 4000 + 3


def test_near_revisions_are_named(server):
    with pytest.raises(
        InputError, match=r"unknown revision of acme/tiny 'step51'.*Did you mean .*step512"
    ):
        hub.list_files(REPO, "step51")
    with pytest.raises(InputError, match="unknown revision of acme/tiny 'aaaa"):
        hub.list_files(REPO, "a" * 40)


def test_unknown_and_gated_repositories(server):
    with pytest.raises(
        InputError, match=r"acme/tinny, which .* does not know .*RepoNotFound.*Check its spelling"
    ):
        hub.list_files("acme/tinny")
    server.gated.add(REPO)
    with pytest.raises(
        InputError, match=rf"Accept the terms at {server.url}/{REPO}, then set HF_TOKEN"
    ):
        hub.remote_tensor(REPO, "main", "head.weight")
    server.fail("/refs", "status", 403)
    hub.reset()
    with pytest.raises(
        InputError, match=r"a refusal to give acme/tiny at revision main .*status 403"
    ):
        hub.list_revisions(REPO)


@pytest.mark.parametrize("part", ["/refs", "/revision/"])
def test_a_login_page_in_place_of_the_hub(server, part):
    server.fail(part, "html", times=math.inf)
    with pytest.raises(InputError, match=r"an html page from .*proxy or a login page"):
        hub.list_files(REPO)


def test_an_answer_of_another_kind(server, monkeypatch):
    for answer in (
        [],
        {"branches": 3},
        {"branches": [{"name": "main", "targetCommit": "../x"}]},
        {"siblings": [{}]},
    ):
        hub.reset()
        monkeypatch.setattr(Client, "json", lambda self, url, answer=answer: answer)
        with pytest.raises(InputError, match="Check HF_ENDPOINT"):
            hub.list_files(REPO, "main" if "siblings" not in answer else "b" * 40)


FILE = {"rfilename": "config.json", "size": 2, "blobId": "c" * 40}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha": "d" * 40}, "the commit 'dddd"),
        ({"siblings": [FILE, FILE]}, "'config.json' for the name of a file, or twice"),
        ({"siblings": [{**FILE, "size": float("inf")}]}, "inf for the size"),
        ({"siblings": [{**FILE, "size": -1}]}, "-1 for the size"),
        ({"siblings": [{**FILE, "size": 10**30}]}, "for the size"),
        ({"siblings": [{**FILE, "rfilename": 3}]}, "3 for the name"),
        ({"siblings": [{**FILE, "lfs": {"sha256": "../x"}}]}, "no hash"),
        ({"siblings": [{**FILE, "lfs": "x"}]}, "Check HF_ENDPOINT"),
        ({"siblings": None}, "Check HF_ENDPOINT"),
    ],
)
def test_a_listing_that_cannot_be(server, monkeypatch, changes, message):
    commit = hub.list_revisions(REPO)["main"]
    monkeypatch.setattr(
        Client, "json", lambda self, url: {"sha": commit, "siblings": [FILE], **changes}
    )
    with pytest.raises(InputError, match=message) as raised:
        hub.list_files(REPO)
    assert len(str(raised.value)) < 500
    monkeypatch.undo()
    assert not list(place(REPO).glob("listings/*"))  # nothing of it is kept


def test_an_empty_listing(server, monkeypatch):
    commit = hub.list_revisions(REPO)["main"]
    monkeypatch.setattr(Client, "json", lambda self, url: {"sha": commit, "siblings": []})
    with pytest.raises(InputError, match="at revision main without weights"):
        hub.RemoteFolder(REPO)
    hub.reset()
    monkeypatch.setattr(Client, "json", lambda self, url: {"branches": [], "tags": []})
    with pytest.raises(InputError, match=r"unknown revision .* one of \(none known\)"):
        hub.list_files(REPO, "step3")


@pytest.mark.parametrize(
    "repo", ["..", "../x", "a/../b", "a--b/c", "/etc", "a/b/c", "", "a b/c", "a/b\n"]
)
def test_what_is_no_hub_id_is_asked_of_nobody(server, repo):
    with pytest.raises(InputError, match="no hub id"):
        hub.list_files(repo)
    assert server.count() == 0


@pytest.mark.parametrize(
    "revision", ["..", "../main", "a/../b", "/etc", "a//b", ".", "", "a\nb", "x" * 201]
)
def test_what_is_no_revision_is_looked_for_nowhere(server, tmp_path, revision):
    with pytest.raises(InputError, match=r"for a revision of acme/tiny|unknown revision"):
        hub.list_files(REPO, revision)
    if revision:  # none is the main branch
        with pytest.raises(InputError, match="for a revision of acme/tiny"):
            hub.fetch(REPO, revision, tmp_path)
    assert server.count() == 0


def test_a_revision_may_have_slashes(server):
    server.repos[REPO]["refs/pr/1"] = ONE
    assert hub.list_files(REPO, "refs/pr/1").files.keys() == ONE.keys()
    assert hub.fetch(REPO, "refs/pr/1").name == server.commit(REPO, "refs/pr/1")
    assert hub.find_local(REPO, "refs/pr/1")


def test_a_configuration_without_end_is_not_read(server):
    server.repos[REPO]["large"] = {"config.json": bytes((1 << 26) + 1)}
    listing = hub.list_files(REPO, "large")
    with pytest.raises(InputError, match=r"config.json of acme/tiny at .* of 67108865 bytes"):
        hub.read_file(REPO, listing.commit, "config.json")


def test_no_network_and_offline_say_how_to_fetch_elsewhere(server, monkeypatch):
    command = (
        "hf download acme/tiny --revision step1` .*"
        "--local-dir weights/acme/tiny/step1` and then --weights=weights"
    )
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=f"HF_HUB_OFFLINE is set.*`{command}"):
        hub.RemoteFolder(REPO, "step1")
    assert server.count() == 0
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    commit = hub.list_files(REPO, "step1").commit
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        InputError, match=r"no whole answer from http://127.0.0.1:1/.* in 3 attempts"
    ):
        hub.list_revisions(REPO)
    assert hub.list_files(REPO, commit).files  # on disk


def test_a_token_that_is_none_is_told(server, monkeypatch):
    hub.reset()
    monkeypatch.setenv("HF_TOKEN", "“secret”")
    with pytest.raises(InputError, match="HF_TOKEN with a character") as raised:
        hub.list_revisions(REPO)
    assert "secret" not in str(raised.value)


def test_the_token_goes_with_every_request_to_the_hub(server):
    hub.list_files(REPO)
    assert set(server.tokens.values()) == {"Bearer secret"}

"""An experiment on a hub suite: audited first, fetched as it goes, convicted checkpoints left
out."""

import job
import pytest
import test_suite_audit as toy
from hub_server import serving

pytestmark = pytest.mark.long

SUITE = """
name = "toy"
models = ["toy"]
seeds = [0, 1]
steps = [0, 1, 2, 4, 8, 16]
repo = "me/toy-seed{seed}"
revision = "step{step}"
"""


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    (tmp_path / "toy.toml").write_text(SUITE)
    with serving(
        {f"me/toy-seed{seed}": toy.run(seed) for seed in (0, 1)}, monkeypatch, tmp_path
    ) as server:
        seed0 = server.repos["me/toy-seed0"]
        seed0["step4"]["model.safetensors"] = seed0["step16"]["model.safetensors"]
        yield server


def weights(tmp_path, *flags: str) -> tuple[int, str, str]:
    return job.run(
        "weights",
        f"--suite={tmp_path / 'toy.toml'}",
        *flags,
        cache=tmp_path / "cache",
        out=tmp_path / "out",
    )


def measured(tmp_path) -> set[str]:
    return {name for name in job.numbers(tmp_path / "out") if name.startswith("weights/")}


def test_convicted_checkpoints_are_left_out_unless_asked_for(server, tmp_path):
    code, _, stderr = weights(tmp_path)
    assert code == 0, stderr
    assert "1 of 12 checkpoints are convicted and left out" in stderr
    assert "toy seed 0: duplicate at step 4 (the weights of step 16)" in stderr
    assert len(measured(tmp_path)) == 11
    assert "weights/toy/seed0/step4.nc" not in measured(tmp_path)
    code, _, stderr = weights(tmp_path, "--keep_suspect")
    assert code == 0, stderr
    assert len(measured(tmp_path)) == 12


def test_every_weight_file_comes_once_and_a_second_run_fetches_none(server, tmp_path):
    assert weights(tmp_path)[0] == 0
    fetched = server.bytes_of(".safetensors")
    size = len(server.repos["me/toy-seed0"]["step16"]["model.safetensors"])
    assert fetched == 11 * size
    assert weights(tmp_path)[0] == 0
    assert server.bytes_of(".safetensors") == fetched


def test_a_small_budget_keeps_few_checkpoints(server, tmp_path):
    code, _, stderr = weights(tmp_path, "--cache_gb=0.1")
    assert code == 0, stderr
    assert len(measured(tmp_path)) == 11


def test_a_faulty_file_ends_the_run_and_what_is_done_stays(server, tmp_path):
    server.fail(server.commit("me/toy-seed1", "step0") + "/model", "wrong", times=99)
    code, _, stderr = weights(tmp_path)
    assert code == 1
    assert "Traceback" not in stderr
    assert "error: " in stderr.strip().splitlines()[-1]
    assert len(measured(tmp_path)) == 5


def of_other_shape(server):
    for files in server.repos["me/toy-seed1"].values():
        files["config.json"] = files["config.json"].replace(
            b'"rotary_pct": 0.25', b'"rotary_pct": 0.5'
        )


@pytest.mark.parametrize(
    ("script", "edit", "change", "words"),
    [
        (
            "weights",
            ("me/toy-", "me/tooy-"),
            None,
            ["me/tooy-seed0", "does not know", "Check its spelling"],
        ),
        (
            "weights",
            None,
            lambda server: server.gated.add("me/toy-seed0"),
            ["accept its terms", "HF_TOKEN"],
        ),
        ("weights", ("step{", "stp{"), None, ["unknown revision", "'stp0'", "Did you mean step0"]),
        (
            "weights",
            ("revision =", "revison ="),
            None,
            ["unknown field", "'revison'", "Did you mean revision"],
        ),
        ("weights", ("seeds = [0, 1]", "seeds = []"), None, ["seeds = []", "not empty"]),
        (
            "convergence",
            None,
            of_other_shape,
            ["seeds 0 and 1 of different architecture", "rotary_fraction 0.25 and"],
        ),
    ],
)
def test_bad_input_is_one_line_with_its_mend(server, tmp_path, script, edit, change, words):
    suite = tmp_path / "toy.toml"
    suite.write_text(SUITE.replace(*edit) if edit else SUITE)
    if change:
        change(server)
    flags = [f"--suite={suite}", "--keep_suspect", "--context=32", "--windows=4"]
    if edit == ("step{", "stp{"):
        flags.remove("--keep_suspect")
    code, _, stderr = job.run(script, *flags, cache=tmp_path / "cache", out=tmp_path / "out")
    assert code == 1
    assert "Traceback" not in stderr
    message = stderr.strip().splitlines()[-1]
    assert message.startswith("error: ")
    for word in words:
        assert word in message, message


def test_without_a_network_the_mend_is_told(monkeypatch, tmp_path):
    (tmp_path / "toy.toml").write_text(SUITE)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, stderr = weights(tmp_path)
    assert code == 1
    assert "hf download me/toy-seed0" in stderr
    assert "Traceback" not in stderr

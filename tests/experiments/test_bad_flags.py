"""Bad input to a script: one line that names the mend, exit code not 0, nothing lost."""

import shutil

import job
import pytest

pytestmark = pytest.mark.long
CHAINS = ("--llc_seeds=1", "--llc_windows=32", "--draws=20", "--burn_in=5", "--reference_probes=0")


@pytest.fixture(scope="module")
def trained(cache, tmp_path_factory):
    """(cache, out) after the weights experiment on the smoke suite."""
    out = tmp_path_factory.mktemp("out")
    code, _, stderr = job.run("weights", *job.SMALL, cache=cache, out=out)
    assert code == 0, stderr
    return cache, out


@pytest.mark.parametrize(
    ("script", "flags", "words"),
    [
        ("weights", ["--suite=nanoo"], ["nanoo", "nano", "pythia"]),
        ("weights", ["--models=smoke-99"], ["smoke-99", "smoke-16"]),
        ("weights", ["--seeds=7"], ["seed", "7", "0, 1, 2"]),
        ("weights", ["--steps=3"], ["step", "3", "0, 1, 2, 4"]),
        ("weights", ["--steps=three"], ["'three'", "whole numbers"]),
        ("weights", ["--shard=2/2"], ["--shard=2/2", "i/n"]),
        (
            "weights",
            ["--suite=pythia", "--models=14m", "--steps=512"],
            ["EleutherAI/pythia-14m", "hf download"],
        ),
        ("weights", ["--corpus=/no/such/file", "--bins=64"], ["/no/such/file", "does not exist"]),
        ("convergence", ["--seeds=0"], ["1 seed", "two or more"]),
        (
            "curvature",
            ["--context=100000"],
            ["--context=100000", "at most 256, the positions of smoke-16"],
        ),
        (
            "curvature",
            ["--hessian_windows=100000"],
            ["--hessian_windows=100000", "at most", "windows of 64 tokens"],
        ),
        (
            "curvature",
            ["--eigenvalues=99", "--block=layers.0.attention.heads.1"],
            ["--eigenvalues=99", "at most 16", "--lanczos_steps"],
        ),
        ("paths", ["--tensors=embed_oot"], ["'embed_oot'", "embed_out.weight", "smoke-16 seed 0"]),
        ("paths", ["--tensors=embed_("], ["'embed_('", "a regular expression"]),
        ("paths", ["--steps=8"], ["no run of two checkpoints", "--steps"]),
        ("paths", ["--sampled_weights=3"], ["--sampled_weights=3", "40"]),
        (
            "perplexity",
            ["--unmask_tokens=300"],
            ["--unmask_tokens=300", "at most 256, the positions"],
        ),
        (
            "mechanism",
            ["--repeated_block=90"],
            ["--repeated_block=90", "--repeats=4", "at most 256 tokens, the positions"],
        ),
        ("llc", [*CHAINS, "--step_size=1e9", "--on_unstable=refuse"], ["diverge"]),
        ("llc", [*CHAINS, "--step_size=1e9", "--on_unstable=report"], ["chain"]),
    ],
)
def test_one_line_and_a_mend(trained, tmp_path, script, flags, words):
    code, _, stderr = job.run(script, *job.SMALL, *flags, cache=trained[0], out=tmp_path / "out")
    assert code == 1
    assert "Traceback" not in stderr
    message = stderr.strip().splitlines()[-1]
    assert message.startswith("error: ")
    for word in words:
        assert word in message


def test_a_context_longer_than_the_model_leaves_nothing_behind(trained, tmp_path):
    code, _, stderr = job.run(
        "convergence", *job.SMALL, "--context=300", cache=trained[0], out=tmp_path
    )
    assert code == 1
    message = stderr.strip().splitlines()[-1]
    assert message.startswith("error: got --context=300")
    assert "expected at most 256, the positions" in message
    assert not list(tmp_path.rglob("*.nc"))


def test_a_damaged_result_is_named_and_not_used(trained, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(trained[1], out)
    path = out / "weights/smoke-16/seed1/step8.nc"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for script in ("weights", "report"):
        code, _, stderr = job.run(
            script, *job.SMALL[:1], "--steps=0,8,32", cache=trained[0], out=out
        )
        assert code == 1
        assert "seed1/step8.nc, unreadable (its checksum" in stderr.strip().splitlines()[-1]


def test_unwritable_out(trained):
    code, _, stderr = job.run("weights", *job.SMALL, cache=trained[0], out="/proc/nowhere")
    assert code == 1
    assert "--out=/proc/nowhere" in stderr


def test_full_disk(trained):
    code, _, stderr = job.run("weights", *job.SMALL, cache=trained[0], out="/dev/full/results")
    assert code == 1
    assert "cannot be written" in stderr


def test_unwritable_cache(tmp_path):
    code, _, stderr = job.run("weights", *job.SMALL, cache="/proc/nowhere", out=tmp_path)
    assert code == 1
    assert "Traceback" not in stderr
    assert "DYNAMICS_CACHE" in stderr


def test_other_configuration_is_refused_and_nothing_lost(trained):
    cache, out = trained
    before = job.numbers(out)
    code, _, stderr = job.run("weights", *job.SMALL, "--bins=64", cache=cache, out=out)
    assert code == 1
    assert "bins: 256 there, 64 here" in stderr
    assert job.numbers(out).keys() == before.keys()


def test_damaged_checkpoint_is_named_and_the_rest_stays(trained, tmp_path):
    cache, out = tmp_path / "cache", tmp_path / "out"
    shutil.copytree(trained[0], cache)
    target = next(cache.glob("*/smoke-24/seed1/step8")) / "model.safetensors"
    target.write_bytes(target.read_bytes()[:-100])
    code, _, stderr = job.run("weights", *job.SMALL, cache=cache, out=out)
    assert code == 1
    assert "seed1/step8/model.safetensors" in stderr
    assert (out / "weights/smoke-16/seed0/step0.nc").exists()


def test_unexpected_argument(trained, tmp_path):
    code, _, _ = job.run("weights", "nano", cache=trained[0], out=tmp_path)
    assert code == 1


def test_report_of_nothing(tmp_path):
    code, _, stderr = job.run("report", cache=tmp_path, out=tmp_path / "none")
    assert code == 1
    assert "without results" in stderr

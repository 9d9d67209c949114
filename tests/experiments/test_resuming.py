"""A job killed anywhere and started again ends with the very bits of an undisturbed one."""

import signal

import job
import pytest

pytestmark = pytest.mark.long

# One model: what is stopped and goes on is alike for each.
SMALL = (*job.SMALL, "--models=smoke-16")
DEMO = (*job.DEMO, "--models=smoke-16")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(cache, out) of one whole run, which also shows that the page is written."""
    cache, out = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("out")
    code, stdout, stderr = job.run("demo", *DEMO, cache=cache, out=out)
    assert code == 0, stderr
    assert stdout.strip().endswith("report.html")
    return cache, out


def test_killed_while_training_sampling_and_writing(undisturbed, tmp_path):
    cache, out = tmp_path / "cache", tmp_path / "out"
    kill_points = [
        lambda: any(cache.glob("*/smoke-16/seed0/step4")),
        lambda: (
            any(cache.glob("*/smoke-16/.seed*/*partial"))
            or any(cache.glob("*/smoke-16/seed1/step16"))
        ),
        lambda: (
            any(out.glob("convergence/*/*/.step*"))
            or any(out.glob("convergence/smoke-16/*/step0.nc"))
        ),
        lambda: any(out.glob("llc/smoke-16/*/step0.nc")),
        lambda: any(out.glob("llc/*/*/.step*")) or any(out.glob("llc/smoke-16/*/step32.nc")),
    ]
    for seen in kill_points:
        code, _ = job.stop_when(seen, signal.SIGKILL, "demo", *DEMO, cache=cache, out=out)
        assert code == -signal.SIGKILL
    code, _, stderr = job.run("demo", *DEMO, cache=cache, out=out)
    assert code == 0, stderr
    expected, resumed = job.numbers(undisturbed[1]), job.numbers(out)
    assert expected.keys() == resumed.keys()
    assert [name for name in expected if not job.same(expected[name], resumed[name])] == []
    _assert_same_weights(undisturbed[0], cache)


def _assert_same_weights(whole, other):
    files = {p.relative_to(whole): p for p in whole.glob("*/*/seed*/step*/model.safetensors")}
    assert len(files) == 3 * 7
    for relative, path in files.items():
        assert path.read_bytes() == (other / relative).read_bytes(), relative


def test_training_resumes_from_saved_state_bit_equal(tmp_path):
    """Through the orbax state itself: steps beyond the first save, against a run that was never
    stopped."""
    import dataclasses

    import numpy as np

    from dynamics.training import nano, pretrain

    recipe = dataclasses.replace(nano.RECIPES["smoke"][0], num_steps=80)
    stream = np.random.default_rng(0).integers(0, 512, 5000).astype(np.int32)
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")

    class Stop(Exception):
        pass

    def stop_at_70(step):
        if step == 70:
            raise Stop

    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    pretrain.pretrain(recipe, stream, tmp_path / "whole", tokenizer, lambda step: None)
    with pytest.raises(Stop):
        pretrain.pretrain(recipe, stream, tmp_path / "parts", tokenizer, stop_at_70)
    seen = []
    pretrain.pretrain(recipe, stream, tmp_path / "parts", tokenizer, seen.append)
    assert seen[0] > 60  # it did resume
    last = "seed1/step80/model.safetensors"
    assert (tmp_path / "whole" / last).read_bytes() == (tmp_path / "parts" / last).read_bytes()


def test_again_recomputes_nothing(undisturbed):
    cache, out = undisturbed
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.nc")}
    code, _, stderr = job.run("demo", *DEMO, cache=cache, out=out)
    assert code == 0, stderr
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.nc")} == before


def test_preemption_commits_what_is_whole(undisturbed, tmp_path):
    cache, out = undisturbed[0], tmp_path / "out"
    code, stderr = job.stop_when(
        lambda: any(out.glob("curvature/*/*/step8.nc")),
        signal.SIGTERM,
        "demo",
        *DEMO,
        cache=cache,
        out=out,
    )
    assert code == 143
    assert "committed results stay" in stderr
    assert "Traceback" not in stderr
    resumed, expected = job.numbers(out), job.numbers(undisturbed[1])
    assert resumed
    assert all(job.same(resumed[name], expected[name]) for name in resumed)


def test_interrupt_ends_cleanly(undisturbed, tmp_path):
    cache, out = undisturbed[0], tmp_path / "out"
    code, stderr = job.stop_when(
        lambda: any(out.glob("weights/*/*/step8.nc")),
        signal.SIGINT,
        "demo",
        *DEMO,
        cache=cache,
        out=out,
    )
    assert code == 130
    assert "same command" in stderr
    assert "Traceback" not in stderr


def test_shards_together_are_the_whole(undisturbed, tmp_path):
    cache, out = undisturbed[0], tmp_path / "out"
    for part in ("1/2", "0/2"):
        code, _, stderr = job.run(
            "weights", *SMALL, "--nopictures", f"--shard={part}", cache=cache, out=out
        )
        assert code == 0, stderr
    expected = {k: v for k, v in job.numbers(undisturbed[1]).items() if k.startswith("weights/")}
    resumed = job.numbers(out)
    assert resumed.keys() == expected.keys()
    assert all(job.same(resumed[name], expected[name]) for name in resumed)

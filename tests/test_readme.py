"""What the README shows must run, and what it names must exist."""

import re
import subprocess
from pathlib import Path

import jax
import numpy as np
import pytest

from dynamics import checkpoints
from dynamics.data import tokenizer
from dynamics.models import gpt_neox

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.long
def test_the_examples_run(tmp_path, capsys, monkeypatch):
    """On a checkpoint of the form it asks for."""
    folder = tmp_path / "checkpoints" / "step512"
    words = tokenizer.train(["the quick brown fox jumps over the lazy dog " * 50] * 3, 270)
    config = gpt_neox.Config(
        hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32, vocab_size=270
    )
    (tmp_path / "tokenizer.json").write_text(words.to_str())
    params = jax.tree.map(
        np.asarray, jax.jit(gpt_neox.init, static_argnums=1)(jax.random.key(0), config)
    )
    checkpoints.save(folder, config, params, tmp_path / "tokenizer.json")
    monkeypatch.chdir(tmp_path)
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        assert len(code.strip().splitlines()) <= 15  # one look
        exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "Hessian trace" in printed
    assert "better than the trivial predictor" in printed
    assert "Beware" not in printed


def test_named_scripts_and_files_exist():
    for script in re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE):
        assert (ROOT / "experiments" / f"{script}.py").exists(), script
    for path in re.findall(r"\]\(([\w./]+)\)", README):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("script", sorted(ROOT.glob("launch/*.sh")), ids=lambda path: path.name)
def test_launch_scripts_parse(script):
    subprocess.run(["bash", "-n", script], check=True)

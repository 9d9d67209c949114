"""The benchmarks run at toy size, and what they time agrees: LLC estimates with devinterp, products
with PyHessian.

Each in a process of its own: scripts define flags of the same names, and the peers' threads are
theirs to set.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]


def said(program: str, *packages: str) -> list[float]:
    """The numbers that `program` prints last. Skips without the packages it needs."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"without {', '.join(missing)}")
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return [float(number) for number in run.stdout.strip().splitlines()[-1].split()]


def test_estimates_agree_with_devinterp():
    program = (
        "from benchmarks import llc_vs_devinterp as b\n"
        "mine, other = b.compare(b.CASES['tiny'], 6)\n"
        "apart = b.disagreement([run.llc for run in mine], [run.llc for run in other])\n"
        "print(apart, min(run.per_step for run in (*mine, *other)))\n"
    )
    apart, fastest = said(program, "torch", "transformers", "devinterp")
    assert apart < 4
    assert fastest > 0


def test_products_agree_with_pyhessian():
    program = (
        "from benchmarks import hvp_vs_pyhessian as b\n"
        "print(max(b.apart(*pair) for pair in b.compare(b.MODELS['tiny'], 2, 8, 2)))\n"
    )
    assert said(program, "torch", "transformers", "pyhessian")[0] < 1e-4


def test_divergences_agree_with_torch():
    program = (
        "from benchmarks import kl_vs_torch as b, setting\n"
        "config = b.MODELS['tiny']\n"
        "seeds, tokens = b.seeds_of(config, 3, 0.0), setting.tokens_of(config, 2, 129)\n"
        "print(b.disagreement(b.compare(config, seeds, tokens, 1)))\n"
    )
    assert said(program, "torch", "transformers")[0] < 1e-4

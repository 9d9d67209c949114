"""The benchmarks run at toy size, and what they time agrees: LLC estimates with devinterp, products
with PyHessian, divergences with torch.

Each in a process of its own, since a peer's threads are set as it is imported.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import pairs

ROOT = Path(__file__).parents[2]


class Timed:
    seconds = 1.0


def printed(program: str, *packages: str) -> list[float]:
    """The numbers that `program` prints last. Skips without the packages it needs."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"without {', '.join(missing)}")
    # Torch's threads wait by spinning, which costs a hundredfold where other work has the cores.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", program]
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return [float(number) for number in run.stdout.strip().splitlines()[-1].split()]


@pytest.mark.long
def test_estimates_agree_with_devinterp():
    program = (
        "from benchmarks import llc_vs_devinterp as b, pairs\n"
        "runs = b.compare(b.CASES['tiny'], 6)\n"
        "llcs = [[estimate.llc for estimate in side] for side in (runs.ours, runs.peer)]\n"
        "fastest = min(estimate.seconds for estimate in (*runs.ours, *runs.peer))\n"
        "print(pairs.standard_errors_apart(*llcs), fastest)\n"
    )
    errors, fastest = printed(program, "torch", "transformers", "devinterp")
    assert errors < 4
    assert fastest > 0


@pytest.mark.long
def test_products_agree_with_pyhessian():
    program = (
        "from benchmarks import hvp_vs_pyhessian as b, setting\n"
        "print(b.largest_difference(b.compare(setting.MODELS['tiny'], 2, 8, 2)))\n"
    )
    assert printed(program, "torch", "transformers", "pyhessian")[0] < 1e-4


@pytest.mark.long
def test_divergences_agree_with_torch():
    program = (
        "from benchmarks import kl, kl_vs_torch as b, setting\n"
        "config = setting.MODELS['tiny']\n"
        "seeds, tokens = kl.seeds_of(config, 3), setting.tokens_of(config, 2, 129)\n"
        "runs = b.compare(config, seeds, tokens, 1)\n"
        "print(kl.largest_difference(runs.ours, runs.peer))\n"
    )
    assert printed(program, "torch", "transformers")[0] < 1e-4


def test_first_runs_are_not_counted():
    numbers = []

    def side(number: int) -> Timed:
        numbers.append(number)
        return Timed()

    runs = pairs.interleave(side, side, 2)
    assert numbers == [0, 0, 1, 1, 2, 2]
    assert runs.ratios() == [1.0, 1.0]


def test_ours_goes_on_without_the_peer():
    peer_calls = []

    def peer(number: int) -> Timed | None:
        peer_calls.append(number)
        return Timed() if number == 0 else None

    runs = pairs.interleave(lambda number: Timed(), peer, 3)
    assert peer_calls == [0, 1]
    assert (len(runs.ours), runs.peer, runs.first_peer) == (3, [], None)

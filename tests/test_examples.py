"""Every `>>>` example in a docstring of dynamics runs and gives what it shows.

Output is compared exactly but for runs of whitespace and `...`. Examples work in an empty folder
that they may write into, and warnings are errors to them as to every test.
"""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "dynamics").rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]
# What people call first; each shows how.
SHOWN = {
    "dynamics.checkpoints": ("load", "save"),
    "dynamics.data.corpus": ("read",),
    "dynamics.data.tokenizer": ("load",),
    "dynamics.data.windows": ("cut",),
    "dynamics.devices": ("map_chains",),
    "dynamics.measures.divergence": ("pairwise_kl", "seed_divergence"),
    "dynamics.measures.weights": ("density", "model_density"),
    "dynamics.models": ("apply_fn", "hidden_fn", "init", "unembed_fn"),
    "dynamics.restrict": ("select",),
    "dynamics.slt": ("estimate_llc",),
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options, verbose=False)
    report: list[str] = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)
    assert runner.tries > 0, "examples in comments or private strings are never run"


@pytest.mark.parametrize("name", SHOWN)
def test_what_people_call_shows_an_example(name):
    module = importlib.import_module(name)
    without = [
        function
        for function in SHOWN[name]
        if ">>>" not in (getattr(module, function).__doc__ or "")
    ]
    assert not without

"""Every `>>>` example in a docstring of dynamics runs and gives what it shows.

Output is compared exactly but for runs of whitespace and `...`. Examples work in an empty folder
that they may write into, and warnings are errors to them as to every test.
"""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "dynamics").rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]
# They compile transformers.
LONG = {
    "dynamics.measures.completions",
    "dynamics.measures.surprisal",
    "dynamics.models",
    "dynamics.slt.compare",
    "dynamics.slt.language_model",
}


def named_in_table(text: str) -> Iterator[str]:
    """Dotted names in the table of the API: `dynamics.a.b / c` and `dynamics.a.{B,C}`."""
    for cell in re.findall(r"^\| `(dynamics\.[^`]+)` \|", text, re.MULTILINE):
        first, *others = cell.split(" / ")
        room, _, name = first.rpartition(".")
        if name.startswith("{"):
            yield from (f"{room}.{member}" for member in name.strip("{}").split(","))
        else:
            yield from (first, *(f"{room}.{other}" for other in others))


def named_in_code(text: str) -> Iterator[str]:
    """Dotted names of what the example calls from `dynamics`."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    tree = ast.parse(code)
    homes = {
        alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dynamics")
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, _, rest = ast.unparse(node.func).partition(".")
            if first in homes and re.fullmatch(r"[\w.]+", rest):
                yield f"{homes[first]}.{rest}"


def functions(name: str) -> list[str]:
    """The name itself or, of a module, its public functions. `name` must exist."""
    value = pkgutil.resolve_name(name)
    if not inspect.ismodule(value):
        return [name]
    return [
        f"{name}.{member}"
        for member, function in inspect.getmembers(value, inspect.isfunction)
        if function.__module__ == name and not member.startswith("_")
    ]


# What the README names; each shows how it is called.
SHOWN = sorted(
    {
        function
        for name in (*named_in_table(README), *named_in_code(README))
        for function in functions(name)
    }
)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long if name in LONG else ()) for name in MODULES],
)
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
def test_what_the_readme_names_shows_an_example(name):
    assert ">>>" in (pkgutil.resolve_name(name).__doc__ or "")


def test_names_are_read_in_every_form_that_the_readme_has():
    table = "| `dynamics.a.b.c / d` | x |\n| `dynamics.a` | y |\n| `dynamics.s.{P,Q}` | z |\n"
    assert list(named_in_table(table)) == [
        "dynamics.a.b.c",
        "dynamics.a.b.d",
        "dynamics.a",
        "dynamics.s.P",
        "dynamics.s.Q",
    ]
    code = "```python\nfrom dynamics import slt\nfrom dynamics.data import corpus\n"
    code += "x = slt.SGLD(len(corpus.embedded().held_out()))\n```"
    assert set(named_in_code(code)) == {"dynamics.slt.SGLD", "dynamics.data.corpus.embedded"}

"""Names say what a thing is: words that would fit anything are bound hardly anywhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CATCH_ALL = {"found", "told", "one", "given", "known", "chosen", "kept", "there"}
PER_THOUSAND_LINES = 2
PARTS = {
    "dynamics": ("dynamics/**/*.py",),
    "experiments": ("experiments/*.py", "benchmarks/**/*.py", "docs/**/*.py", "launch/*.py"),
    "tests": ("tests/**/*.py",),
}


def bound(tree: ast.AST) -> Iterator[str]:
    """Every name that a module binds: variables, arguments, fields, targets of loops, functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def test_every_way_to_bind_a_name_is_seen():
    source = """
def found(told, *, one=1):
    given: int = 2
    return [kept for kept in range(3)], lambda there: there
import numpy as chosen
class Record:
    known: float
"""
    assert set(bound(ast.parse(source))) >= CATCH_ALL


@pytest.mark.parametrize("part", PARTS)
def test_catch_all_names_are_rare(part):
    lines, places = 0, []
    for pattern in PARTS[part]:
        for path in sorted(ROOT.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            lines += text.count("\n")
            names = [name for name in bound(ast.parse(text)) if name in CATCH_ALL]
            places += [f"{path.relative_to(ROOT)}: {name}" for name in names]
    assert len(places) < PER_THOUSAND_LINES * lines / 1000, "\n".join(places[:60])

"""Names say what a thing is: words that would fit anything are bound hardly anywhere."""

import ast
import re
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


def bound_in_script(source: str) -> Iterator[str]:
    """Names that a script in a template binds by const, let and function, and as parameters."""
    declared = re.findall(r"\b(?:const|let|var|function|class)\s+(\w+)", source)
    unpacked = re.findall(r"\b(?:const|let)\s*[\[{]([^\]}=]*)[\]}]\s*=", source)
    parameters = re.findall(r"\(([\w\s,]*)\)\s*(?:=>|\{)", source)
    yield from declared
    yield from re.findall(r"(\w+)\s*=>", source)
    for names in (*unpacked, *parameters):
        yield from re.findall(r"\w+", names)


def test_every_way_to_bind_a_name_in_a_script_is_seen():
    source = """
function found(told, one) { let [given, known] = told; const { chosen } = one; }
const kept = there => there;
"""
    assert set(bound_in_script(source)) >= CATCH_ALL


@pytest.mark.parametrize("pattern", ["*.js", "*.html"])
def test_scripts_of_pages_bind_no_catch_all_name(pattern):
    for path in sorted((ROOT / "dynamics").rglob(pattern)):
        names = CATCH_ALL & set(bound_in_script(path.read_text(encoding="utf-8")))
        assert not names, f"{path.relative_to(ROOT)}: {names}"


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

"""The house's one direction: no room imports a later one, and heavy libraries stay where they are
used."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "dynamics").rglob("*.py"))
# suite -> checkpoint files -> params -> measure -> results -> analysis -> figure -> report
ROOMS = [
    "errors",
    "cache",
    "devices",
    "suite",
    "models",
    "data",
    "checkpoints",
    "restrict",
    "measures",
    "slt",
    "training",
    "results",
    "analysis",
    "figures",
    "report",
]
HOMES = {
    "flax": {"models"},
    "optax": {"training"},
    "orbax": {"training", "slt"},
    "matplotlib": {"figures", "report"},
    "torch": set(),
    "experiments": set(),
    "tests": set(),
    "benchmarks": set(),
}
ONLY_WHERE_USED = {"torch", "transformers", "matplotlib", "arviz", "statsmodels", "sklearn"}


def imported(source: str, package: str) -> Iterator[str]:
    """Dotted names that a module of `package` imports, at its head or inside a function; `from a
    import b` is a.b."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = (
                package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            )
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    """The room a file lies in; "" for the package's own front door."""
    inside = path.relative_to(ROOT / "dynamics").with_suffix("").parts
    return "" if inside == ("__init__",) else inside[0]


def imports_of(path: Path) -> list[str]:
    return list(
        imported(path.read_text(encoding="utf-8"), ".".join(path.relative_to(ROOT).parts[:-1]))
    )


def test_every_room_has_its_place():
    assert {room(path) for path in FILES} - {""} <= set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_imports_a_later_one(path):
    earlier = ROOMS[: ROOMS.index(room(path)) + 1] if room(path) else []
    for name in imports_of(path):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if top == "dynamics" and other in ROOMS:
            assert other in earlier, f"{path.name} imports {name}"


@pytest.mark.parametrize("library", HOMES)
def test_libraries_stay_in_their_rooms(library):
    users = {
        room(path)
        for path in FILES
        if library in {name.partition(".")[0] for name in imports_of(path)}
    }
    assert users <= HOMES[library]


def test_imports_are_read_in_every_form():
    source = "import a.b as c\nfrom dynamics import slt\nfrom . import plan\nfrom ..report.page import write\n"
    inside = "def f():\n    from dynamics.figures import style\n    import torch\n"
    assert set(imported(source + inside, "dynamics.slt")) == {
        "a.b",
        "dynamics.slt",
        "dynamics.slt.plan",
        "dynamics.report.page.write",
        "dynamics.figures.style",
        "torch",
    }


def loaded(program: str) -> set[str]:
    """Top-level names of all that a fresh interpreter holds after `program`."""
    report = "; import sys, json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    run = subprocess.run(
        [sys.executable, "-c", program + report],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(run.stdout))


def test_importing_the_package_loads_nothing_else():
    assert not loaded("import dynamics") & {*ONLY_WHERE_USED, "jax", "flax", "numpy", "xarray"}


@pytest.mark.long
def test_importing_every_module_loads_no_heavy_library():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
    ]
    found = loaded(
        "import importlib; " + "; ".join(f"importlib.import_module({name!r})" for name in names)
    )
    assert {"dynamics", "jax", "flax"} <= found
    assert not found & ONLY_WHERE_USED


def test_front_door_names_every_room():
    import dynamics

    assert set(dynamics._ROOMS) >= {room(path) for path in FILES} - {""}
    assert set(dynamics._ROOMS) <= set(ROOMS)
    with pytest.raises(AttributeError, match="no attribute 'cellar'"):
        _ = dynamics.cellar

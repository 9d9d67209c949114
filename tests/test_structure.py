"""The house's one direction: no room imports a later one, and heavy libraries stay where they are
used."""

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "dynamics").rglob("*.py"))
# suite -> checkpoint files -> params -> measure -> results -> study; analysis -> figures -> report;
# questions stand on all of them.
ROOMS = [
    "errors",
    "inputs",
    "files",
    "cache",
    "devices",
    "threefry",
    "suite",
    "models",
    "data",
    "checkpoints",
    "restrict",
    "measures",
    "slt",
    "training",
    "results",
    "study",
    "analysis",
    "figures",
    "report",
    "questions",
]
# What the halls that a page is made in may use: no JAX, so that a page needs none.
WITHOUT_JAX = {
    "analysis": {"analysis", "errors"},
    "figures": {"analysis", "errors", "figures"},
    "report": {"analysis", "errors", "figures", "files", "results", "report"},
    "questions": {"analysis", "errors", "figures", "files", "report", "results", "questions"},
}
# Whose findings a question may read; of another room it may import nothing else.
MAY_READ = {
    "convergence": {"in_context"},
    "token_properties": {"convergence"},
    "predictability": {"convergence"},
    "warmup": {"convergence"},
    "curvature": {"llc"},
    "stages": {"llc", "curvature"},
    "weights": {"convergence", "perplexity", "stages"},
    "paths": {"perplexity", "mechanism"},
    "icl_regression": {"development", "llc", "curvature", "stages"},
    "attention_only": {"llc", "curvature", "stages"},
    "grokking": {"llc", "curvature", "stages"},
}
HOMES = {
    "flax": {"models"},
    "optax": {"training"},
    "orbax": {"training", "slt"},
    "matplotlib": {"figures", "report", "questions"},
    "torch": set(),
    "experiments": set(),
    "tests": set(),
    "benchmarks": set(),
}
ONLY_WHERE_USED = {"torch", "transformers", "matplotlib", "arviz", "sklearn"}


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


@pytest.mark.parametrize("hall", WITHOUT_JAX)
def test_a_page_is_made_of_halls_without_jax(hall):
    for path in (path for path in FILES if room(path) == hall):
        for name in imports_of(path):
            top, _, rest = name.partition(".")
            assert top not in {"jax", "jaxlib", "chex", "flax"}, f"{path} imports {name}"
            if top == "dynamics" and rest:
                assert rest.partition(".")[0] in WITHOUT_JAX[hall], f"{path} imports {name}"


def question_of(parts: Sequence[str]) -> str:
    """The room of questions that a dotted name or a path leads into; "" for what all share."""
    name = parts[2] if parts[:2] == ("dynamics", "questions") and len(parts) > 2 else ""
    return name if (ROOT / "dynamics" / "questions" / name).is_dir() else ""


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if question_of(path.relative_to(ROOT).parts)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_question_reads_of_another_its_findings_alone(path):
    own = question_of(path.relative_to(ROOT).parts)
    for name in imports_of(path):
        parts = tuple(name.split("."))
        other = question_of(parts)
        if other and other != own:
            assert other in MAY_READ.get(own, set()), f"{path.name} imports {name}"
            assert parts[3:4] == ("findings",), f"{path.name} imports {name}"


def test_every_question_has_one_form_and_stands_in_the_list():
    from dynamics import questions

    folders = {path.parent.name for path in (ROOT / "dynamics/questions").glob("*/__init__.py")}
    assert [question.name for question in questions.ALL if question.name not in folders] == []
    assert folders == {question.name for question in questions.ALL}
    for name in folders:
        files = {path.stem for path in (ROOT / "dynamics/questions" / name).glob("*.py")}
        assert {"findings", "section", "__init__"} <= files, name


def test_a_question_names_its_variables_in_its_record_alone():
    """What a data set calls its variables stands in record.py alone, however it is read."""
    questions = ROOT / "dynamics/questions"
    for path in sorted(questions.glob("*/record*.py")):
        script = ROOT / "experiments" / f"{path.parent.name}.py"
        others = {*path.parent.glob("*.py"), *([script] if script.exists() else [])}
        check_reads(stored_names(path), others)
    # The record that several questions share is read by none of them.
    check_reads(stored_names(questions / "seed_record.py"), set(questions.rglob("*.py")))


def check_reads(names: set[str], paths: set[Path]):
    for path in sorted(paths):
        if "record" in path.stem or path.stem == "schema":  # records check themselves by schemas
            continue
        used = variables_read(path.read_text(encoding="utf-8")) & names
        assert not used, f"{path.relative_to(ROOT)} reads {sorted(used)}"


def stored_names(path: Path) -> set[str]:
    """Keys of a record's dictionaries, and what it reads: what its data set calls its variables."""
    source = path.read_text(encoding="utf-8")
    displays = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Dict))
    keys = {key for display in displays for key in display.keys}
    named = {key.value for key in keys if isinstance(key, ast.Constant)}
    return {name for name in named | variables_read(source) if isinstance(name, str)}


def variables_read(source: str) -> set[str]:
    """Names by which a module takes something out of what may be a data set.

    That is data["kl"], data.get("kl"), "kl" in data and, of a name that is bound to a data set,
    data.kl. What a function makes as a dictionary, or has from a measure, is no data set.
    """
    tree = ast.parse(source)
    measures = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dynamics.measures")
        for alias in node.names
    }
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    harmless, attributes = set(), set()
    for function in functions:
        dictionaries, datasets = _dictionaries(function, measures), _datasets(function)
        for node in ast.walk(function):
            holder = _read(node)[0]
            if isinstance(holder, ast.Name) and holder.id in dictionaries - datasets:
                harmless.add(id(node))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                attributes |= {node.attr} if node.value.id in datasets else set()
    reads = {_read(node)[1] for node in ast.walk(tree) if id(node) not in harmless}
    return attributes | (reads - {None})


def _read(node: ast.AST) -> tuple[ast.expr | None, str | None]:
    """(holder, name) of an expression that reads a name out of something; (None, None) else."""
    match node:
        case ast.Subscript(value=holder, slice=ast.Constant(value=str(name))):
            return holder, name
        case ast.Call(
            func=ast.Attribute(value=holder, attr="get"), args=[ast.Constant(value=str(name)), *_]
        ):
            return holder, name
        case ast.Compare(
            left=ast.Constant(value=str(name)), ops=[ast.In() | ast.NotIn()], comparators=[holder]
        ):
            return holder, name
    return None, None


def _datasets(function: ast.FunctionDef) -> set[str]:
    """Names of a function that hold data sets: by annotation, by origin, or beside their unit."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    names = {
        argument.arg
        for argument in arguments
        if argument.annotation and ast.unparse(argument.annotation).endswith("Dataset")
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Store) and len(node.elts) == 2:
            unit, data = map(ast.unparse, node.elts)
            names |= {data} if unit == "unit" or data == "data" else set()
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            maker = ast.unparse(node.value.func)
            if maker.endswith(("to_dataset", ".Dataset", "store.read")):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _dictionaries(function: ast.FunctionDef, measures: set[str]) -> set[str]:
    """Names that every assignment in a function binds to a dictionary."""
    values: dict[str, list[ast.expr]] = {}
    for assignment in (node for node in ast.walk(function) if isinstance(node, ast.Assign)):
        for target in assignment.targets:
            if isinstance(target, ast.Name):
                values.setdefault(target.id, []).append(assignment.value)
    return {
        name
        for name, bound in values.items()
        if all(_is_dictionary(value, measures) for value in bound)
    }


def _is_dictionary(value: ast.expr, measures: set[str]) -> bool:
    if not isinstance(value, ast.Call):
        return isinstance(value, (ast.Dict, ast.DictComp))
    root = value.func
    if isinstance(root, ast.Attribute):
        root = root.value
    return isinstance(root, ast.Name) and root.id in measures


def test_reads_of_data_sets_are_told_from_those_of_dictionaries():
    head = "from dynamics.measures import divergence\n"
    reads = """
def passages(data, seeds):
    numbers = divergence.seed_divergence(seeds)
    config = {"windows": 6, **data.attrs}
    mixed = {}
    mixed = data
    config["text"] = numbers["kl"]
    return data["trace"], mixed["loss"], seeds.data["llc"], config["windows"]
"""
    assert variables_read(head + reads) == {"trace", "loss", "llc"}
    assert variables_read(reads) == {"trace", "loss", "llc", "kl"}


def test_data_sets_are_read_in_every_form():
    reads = """
def curves(pairs, stored: xr.Dataset, record, store):
    config = {"suite": "toy"}
    read = store.read(1)
    if "js" in stored or "top" not in stored.data_vars or "suite" in config:
        return stored.get("surprisal"), read.weights, config.get("suite"), record.trace
    return [data.kl for _, data in pairs]
"""
    names = {"js", "top", "surprisal", "weights", "kl"}
    assert variables_read(reads) - {"data_vars", "get"} == names


PAGE_WITHOUT_JAX = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"jax", "jaxlib", "flax", "chex"}:
            raise ImportError(f"{name} is not to be had here")
sys.meta_path.insert(0, Refuse())
from dynamics import results
from dynamics.questions import site
print(site.write(results.Store(sys.argv[1]), "toy", sys.argv[2]))
"""


def made_results(root: Path) -> dict[str, int]:
    """A folder of made-up results, and how many figures its pages have at least, by question."""
    from made_llc import one_record
    from made_seeds import kl_of_level, made_record, units

    from dynamics import results
    from dynamics.questions.convergence import record as convergence
    from dynamics.questions.llc import record as llc

    steps, tokens = (0, 1, 2, 4, 8, 16), np.full(8, 10)
    kl = kl_of_level([3.0, 2.0, 1.0, 0.5, 1.0, 1.5])
    by_step = {
        step: convergence.to_dataset(made_record(kl[k], tokens, kl[k].mean()))
        for k, step in enumerate(steps)
    }
    pairs = units(convergence.MEASURE, "toy-8m", by_step)
    for step in steps:
        unit = results.Unit(measure=llc.MEASURE, model="toy-8m", seeds=(0,), step=step)
        pairs.append((unit, llc.to_dataset(one_record(50.0 + step))))
    store, provenance = results.Store(root), {"weights": [], "corpus": {}}
    for unit, data in pairs:
        store.write(unit, data, {"suite": "toy"}, provenance)
    return {"convergence": 3, "llc": 3}


@pytest.mark.long
def test_a_page_is_made_where_jax_cannot_be_imported(tmp_path):
    figures = made_results(tmp_path / "results")
    report = tmp_path / "report.html"
    arguments = [str(tmp_path / "results"), str(report)]
    subprocess.run([sys.executable, "-c", PAGE_WITHOUT_JAX, *arguments], cwd=ROOT, check=True)
    assert "<svg" in report.read_text(encoding="utf-8")  # the overview's one axis of steps
    for question, count in figures.items():
        (page,) = (tmp_path / "report").rglob(f"{question}.html")
        assert page.read_text(encoding="utf-8").count("<svg") >= count, question


@pytest.mark.parametrize("library", HOMES)
def test_libraries_stay_in_their_rooms(library):
    users = [
        path for path in FILES if library in {name.partition(".")[0] for name in imports_of(path)}
    ]
    assert {room(path) for path in users} <= HOMES[library]
    # A question draws in the file that is named for it.
    assert {path.name for path in users if room(path) == "questions"} <= {"figures.py"}


def test_imports_are_read_in_every_form():
    source = "import a.b as c\nfrom dynamics import slt\nfrom . import plan\n"
    source += "from ..report.page import write\n"
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
    report = "; import sys, json; tops = {name.partition('.')[0] for name in sys.modules}"
    report += "; print(json.dumps(sorted(tops)))"
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


def test_statistics_and_pages_load_neither_jax_nor_matplotlib():
    program = "import dynamics.analysis; from dynamics import figures, report; "
    program += "from dynamics.questions import site"
    assert not loaded(program) & {*ONLY_WHERE_USED, "jax", "flax"}


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.parent == ROOT / "dynamics" and path.stem != "__init__"],
    ids=lambda path: path.stem,
)
def test_a_flat_module_exports_what_it_defines(path):
    module = importlib.import_module(f"dynamics.{path.stem}")
    definitions = (ast.FunctionDef, ast.ClassDef)
    body = ast.parse(path.read_text(encoding="utf-8")).body
    public = {node.name for node in body if isinstance(node, definitions)}
    public = {name for name in public if not name.startswith("_")}
    assert public <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.stem == "__init__" and path.parent != ROOT / "dynamics"],
    ids=lambda path: str(path.parent.relative_to(ROOT)),
)
def test_a_room_says_what_it_exports(path):
    name = ".".join(path.parent.relative_to(ROOT).parts)
    module = importlib.import_module(name)
    assert all(hasattr(module, exported) for exported in module.__all__)


@pytest.mark.long
def test_importing_every_module_loads_no_heavy_library():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in FILES
    ]
    names_loaded = loaded(
        "import importlib; " + "; ".join(f"importlib.import_module({name!r})" for name in names)
    )
    assert {"dynamics", "jax", "flax"} <= names_loaded
    assert not names_loaded & ONLY_WHERE_USED


def test_front_door_names_every_room():
    import dynamics

    assert set(dynamics._ROOMS) >= {room(path) for path in FILES} - {""}
    assert set(dynamics._ROOMS) <= set(ROOMS)
    with pytest.raises(AttributeError, match="no attribute 'cellar'"):
        _ = dynamics.cellar

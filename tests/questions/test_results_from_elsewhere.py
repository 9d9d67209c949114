"""Results of any form end in a page or in a sentence that names the file, in bounded time.

Every variable and attribute of every measure is removed, retyped and swapped.
"""

import contextlib
import html
import itertools
import re
import time
import tracemalloc
from collections.abc import Iterator

import made_results
import numpy as np
import pytest
import xarray as xr

from dynamics.errors import InputError
from dynamics.questions import ALL, Committed, site
from dynamics.results import Store

MEASURES = sorted(made_results.SCHEMAS)
MOST_SECONDS, MOST_BYTES = 30, 2 * 2**30


def mutations(data: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """What is wrong, and the data set with that wrong."""
    for name in data.variables:
        yield f"without {name}", data.drop_vars(name)
        yield from ((f"{name} {fault}", wrong) for fault, wrong in retyped(data, str(name)))
    names = list(data.data_vars)
    for name, other in itertools.pairwise(names):
        yield f"{name} and {other} swapped", data.rename({name: other, other: name})
    for axis, size in data.sizes.items():
        yield f"nothing along {axis}", data.isel({axis: slice(0, 0)})
        yield f"one place along {axis}", data.isel({axis: slice(0, 1)})
        yield f"too little along {axis}", data.isel({axis: slice(0, max(1, size - 1))})
        yield f"{axis} reversed", data.isel({axis: slice(None, None, -1)})
    yield from of_attributes(data)


def retyped(data: xr.Dataset, name: str) -> Iterator[tuple[str, xr.Dataset]]:
    """What is wrong with one variable, and the data set with that wrong."""
    axes, array = data[name].dims, data[name].values
    arrays = {"of other text": (axes, np.full(array.shape, "x"))}
    if array.dtype.kind in "if":
        arrays |= {
            "of truth values": (axes, array > 0),
            "of floats": (axes, array + 0.5),
            "of whole numbers": (axes, np.ceil(array).astype(int)),
            "negative": (axes, -array - 1),
            "huge": (axes, np.full_like(array, 2**40)),
            "NaN": (axes, np.full(array.shape, np.nan)),
            "infinite": (axes, np.full(array.shape, np.inf)),
            "zero": (axes, np.zeros_like(array)),
            "of dates": (axes, np.zeros(array.shape, "datetime64[ns]")),
        }
    if array.ndim:
        arrays["a scalar"] = (), array.ravel()[0]
        arrays["over other axes"] = tuple(f"axis_{k}" for k in range(array.ndim)), array
        arrays["turned"] = axes[::-1], array.T
    for fault, variable in arrays.items():
        if not (fault == "a scalar" and name in data.dims):  # which xarray itself refuses
            yield fault, data.drop_vars(name).assign({name: variable})


def of_attributes(data: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    wrong = {
        "a number": 5,
        "NaN": np.nan,
        "a list": np.arange(3),
        "words": "x",
        "an object": '{"a": {"b": [1]}}',
        "a list in JSON": "[1, [2]]",
        "deep JSON": "[" * 100_000,
        "a long number": '{"burn_in": ' + "9" * 5000 + "}",
    }
    for name in data.attrs:
        rest = {other: value for other, value in data.attrs.items() if other != name}
        yield f"without the attribute {name}", data.copy().assign_attrs({}).pipe(with_attrs, rest)
        for fault, value in wrong.items():
            yield f"{name} is {fault}", data.pipe(with_attrs, rest | {name: value})


def with_attrs(data: xr.Dataset, attributes: dict) -> xr.Dataset:
    changed = data.copy()
    changed.attrs = attributes
    return changed


@pytest.fixture(scope="module")
def results() -> dict:
    return {measure: made_results.units(measure) for measure in MEASURES}


def test_made_up_results_are_of_every_measure_and_answer_every_question(results):
    contents = site.contents(Committed(results), "toy")
    assert {m for question in ALL for m in question.measures} - {"icl", "bytes", "text"} <= set(
        MEASURES
    )
    unanswered = [chapter.name for chapter in contents.chapters if chapter.section is None]
    assert unanswered == ["warmup"]  # it compares models, and one was made up
    assert site.faults(Committed(results)) == []


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numbers that are not finite
@pytest.mark.parametrize("measure", MEASURES)
def test_results_that_are_not_what_their_place_says(results, measure):
    """A page or an InputError, for whatever stands in one file of a measure."""
    readers = [question for question in ALL if measure in question.measures]
    if measure == "convergence":
        readers += [question for question in ALL if question.name == "token_properties"]
    readers.sort(key=lambda question: question.name != measure)
    pairs = results[measure]
    place = len(pairs) // 2
    refused = 0
    for number, (fault, wrong) in enumerate(mutations(pairs[place][1])):
        # A file is read in one way for all: its own question meets every fault, the others, with
        # whatever else they read, every fifth.
        questions = readers if number % 5 == 0 else readers[:1]
        names = {m for question in questions for m in question.measures} | {measure, "convergence"}
        read = {name: results[name] for name in names & results.keys()}
        changed = [*pairs[:place], (pairs[place][0], wrong), *pairs[place + 1 :]]
        committed = Committed({**read, measure: changed})
        start = time.process_time()
        with traced_memory(fault.endswith(("huge", "a long number", "deep JSON"))):
            try:
                site.contents(committed, "toy", questions)
                refused += bool(site.faults(committed, questions))
            except InputError:
                refused += 1
            except Exception as error:
                raise AssertionError(f"{measure}: {fault}") from error
        assert time.process_time() - start < MOST_SECONDS, fault
    assert refused > 20


@contextlib.contextmanager
def traced_memory(asked: bool) -> Iterator[None]:
    """Holds what is allocated inside to a limit. Tracing takes most of the time, so that only what
    could ask for much is traced."""
    if not asked:
        yield
        return
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("measure", MEASURES)
def test_an_error_names_the_file_and_the_variable(tmp_path, results, measure):
    schema, store = made_results.SCHEMAS[measure], Store(tmp_path)
    (unit, data), *_ = reversed(results[measure])
    for name in [name for name, variable in schema.variables.items() if not variable.optional]:
        store.write(unit, data.drop_vars(name), {}, {})
        with pytest.raises(InputError) as refused:
            schema.check(store.read(unit))
        assert f"{tmp_path / unit.path} with no variable '{name}'" in str(refused.value)


def test_other_questions_are_answered_and_the_page_names_the_file(tmp_path, results):
    store = Store(tmp_path / "results")
    for measure in ("weights", "audit", "next_byte"):
        for unit, data in results[measure]:
            store.write(unit, data, {}, {})
    unit, data = results["weights"][1]
    store.write(unit, data.drop_vars("sd"), {}, {})
    target = store.root / "report.html"
    sentence = f"{unit.path} without 'sd'; expected what"
    with pytest.raises(InputError, match=re.escape(sentence)) as refused:
        site.write(store, "toy", target)
    assert f"{target} is written without it." in str(refused.value)
    folder = store.root / "report"
    for page in (target, folder / "weights.html", folder / "provenance.html"):
        assert sentence in html.unescape(page.read_text()), page
    assert str(tmp_path) not in (folder / "weights.html").read_text()
    assert "<figure" in (folder / "next_byte.html").read_text()
    store.write(unit, data, {}, {})
    assert site.write(store, "toy", target) == target
    assert sentence not in html.unescape((folder / "provenance.html").read_text())

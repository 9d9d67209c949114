"""Pages of numbers that are not finite, of audits, and of results that no question reads."""

import html
import re

import made_results
import numpy as np
import pytest
import xarray as xr

from dynamics.errors import InputError
from dynamics.questions import ALL, site
from dynamics.results import Store, Unit

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
OF_THE_TEXT = ("ngram", "token_properties", "predictability")
MEASURES = sorted(set(made_results.SCHEMAS) - {"audit"})


def not_finite(data: xr.Dataset, value: float) -> xr.Dataset:
    """The data set with every number that is no coordinate replaced."""
    axes = set(data.dims) | {"tokens", "bytes"}
    return data.assign(
        {
            name: (variable.dims, np.full(variable.shape, value))
            for name, variable in data.variables.items()
            if variable.dtype.kind == "f" and name not in axes
        }
    )


def written(store: Store, measure: str, change) -> list[Unit]:
    """Commits the made-up units of a measure, `change`d by the place in their order."""
    units = []
    names = {measure, "convergence"} if measure in OF_THE_TEXT else {measure}
    for name in names:
        for place, (unit, data) in enumerate(made_results.units(name)):
            changed = change(place, data) if name == measure else data
            store.write(unit, changed, {"suite": "toy"}, {"weights": [], "corpus": {}})
            units.append(unit)
    return units


@pytest.mark.long
@pytest.mark.parametrize(("where", "value"), [("everywhere", np.nan), ("at one step", np.inf)])
@pytest.mark.parametrize("measure", MEASURES)
def test_numbers_that_are_not_finite_leave_a_page_with_a_gap(tmp_path, measure, where, value):
    store = Store(tmp_path)
    written(
        store,
        measure,
        lambda place, data: (
            not_finite(data, value) if where == "everywhere" or place == 1 else data
        ),
    )
    target = site.write(store, "toy", tmp_path / "report.html")
    names = [question.name for question in ALL if measure in question.measures]
    pages = [tmp_path / "report" / f"{name}.html" for name in names]
    text = " ".join(page.read_text() for page in [target, *pages] if page.exists())
    sentences = html.unescape(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.S))
    assert not re.search(r"\b(falls|rises) to (nan|not finite|inf)", sentences)


def test_what_is_not_finite_is_listed_beside_its_unit(tmp_path):
    store = Store(tmp_path)
    written(store, "weights", lambda place, data: data.assign_attrs(not_finite="1 of 3 of sd"))
    site.write(store, "toy", tmp_path / "report.html")
    page = html.unescape((tmp_path / "report" / "provenance.html").read_text())
    assert "weights toy-8 seed 0 step 8: 1 of 3 of sd" in page


@pytest.mark.parametrize("measures", [["audit"], ["audit", "weights"], ["weights"]], ids=str)
def test_an_audit_has_no_step_and_a_page_all_the_same(tmp_path, measures):
    store = Store(tmp_path)
    for measure in measures:
        written(store, measure, lambda place, data: data)
    overview = site.write(store, "toy", tmp_path / "report.html").read_text()
    folder = tmp_path / "report"
    for measure in measures:
        assert (folder / f"{measure}.html").exists()
    assert ("4 checkpoints from step 0 to 64" in overview) == ("weights" in measures)


def test_folders_that_no_question_reads_are_named(tmp_path):
    store = Store(tmp_path)
    written(store, "weights", lambda place, data: data)
    for name in ("weigths", "mine"):
        store.write(Unit.of_suite(name), xr.Dataset({"kl": 0.5}), {}, {})
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "step8.txt").touch()
    site.write(store, "toy", tmp_path / "report.html")
    assert site.unread(store) == ["mine", "weigths"]


@pytest.mark.parametrize("measures", [("weights", "llc"), ("weights", "next_byte")], ids=str)
def test_a_checkpoint_that_changed_between_measures_is_named(tmp_path, measures):
    store = Store(tmp_path)
    for measure, digest in zip(measures, ("a" * 64, "b" * 64), strict=True):
        for unit, data in made_results.units(measure):
            weights = [
                {"sha256": {"model.safetensors": digest if cell[1:] == (0, 8) else "c" * 64}}
                for cell in unit.cells()
            ]
            store.write(unit, data, {"suite": "toy"}, {"weights": weights, "corpus": {}})
    with pytest.raises(InputError) as error:
        site.write(store, "toy", tmp_path / "report.html")
    sentence = "model.safetensors of toy-8 seed 0 step 8 had sha256"
    assert sentence in str(error.value)
    assert sentence in html.unescape((tmp_path / "report" / "provenance.html").read_text())

"""The site of a folder of results: what is shown of a question that is asked, answered or not."""

import importlib
import json

import pytest

from dynamics.questions import ALL, Committed, Launch, site
from dynamics.report import site as report
from dynamics.results import Store
from dynamics.study import Unit

RECORD = """
import xarray as xr

MEASURE = "parity"


def to_dataset(share):
    return xr.Dataset({"even_share": ("head", share)})


def from_dataset(data):
    return data["even_share"].values
"""

FINDINGS = """
from toy.parity import record


def find(committed):
    pairs = committed.of(record.MEASURE)
    return {u.model: float(record.from_dataset(d).mean()) for u, d in pairs} or None
"""

FIGURES = """
from dynamics.figures import style


def bars(share, look):
    figure, ax = style.axes("share of even tokens")
    for place, (model, height) in enumerate(share.items()):
        ax.bar(place, height, color=look[model]["color"])
    return figure
"""

SECTION = """
from dynamics.report.section import Finding, Panel, Section, Table
from toy.parity import figures


def section(share, look):
    table = Table(columns={"model": list(share), "even (share)": list(share.values())})
    panel = Panel(name="parity-share", title="Even tokens", caption="A bar for each model.",
                  draw=lambda: figures.bars(share, look), table=table)
    finding = Finding(sentence="Half of the tokens are even.", rests_on="1 seed", grade="open")
    return Section(introduction="Of all tokens.", panels=[panel], findings=[finding])
"""

ROOM = """
from dynamics.questions import Question
from toy.parity import findings, record, section

QUESTION = Question(
    name="parity", title="Which tokens are even?", command="python -m toy.script {flags}",
    measures=(record.MEASURE,), find=findings.find, section=section.section, models=list,
)
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A room of its own in a package that the project does not know."""
    room = tmp_path / "toy" / "parity"
    room.mkdir(parents=True)
    files = {"__init__": ROOM, "record": RECORD, "findings": FINDINGS}
    files |= {"figures": FIGURES, "section": SECTION}
    (tmp_path / "toy" / "__init__.py").touch()
    for name, source in files.items():
        (room / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("toy.parity")


def test_a_new_question_is_a_folder_and_an_entry(toy, tmp_path):
    """Nothing else knows it; page, sentence, figure and table are there."""
    store = Store(tmp_path / "results")
    unit = Unit(measure="parity", model="70m", seeds=(0,), step=8)
    store.write(unit, toy.record.to_dataset([0.25, 0.75]), {}, {"weights": [], "corpus": {}})
    overview = site.write(store, "mine", tmp_path / "report.html", [*ALL, toy.QUESTION])
    folder = tmp_path / "report"
    assert "Half of the tokens are even." in overview.read_text(encoding="utf-8")
    assert "Which tokens are even?" in (folder / "parity.html").read_text(encoding="utf-8")
    rows = (folder / "data" / "parity-share.csv").read_text(encoding="utf-8").split()
    assert rows[-1] == "70m,0.5"
    assert (folder / "figures" / "parity-share.svg").is_file()


def test_a_question_without_results_is_shown_with_its_command(toy):
    contents = site.contents(
        Committed({"parity": [_made(toy)]}),
        "mine",
        [*ALL, toy.QUESTION],
        launch=Launch(suite="T/my runs.toml", out="somewhere else"),
    )
    commands = {chapter.name: chapter.command for chapter in contents.chapters}
    flags = "--suite='T/my runs.toml' --out='somewhere else'"
    assert commands["weights"] == f"python -m experiments.weights {flags}"
    assert commands["stages"].count(flags) == commands["stages"].count("python -m")


def test_a_suite_of_one_seed_is_not_sent_to_a_script_that_refuses_it(toy):
    contents = site.contents(Committed({"parity": [_made(toy)]}), "mine", [*ALL, toy.QUESTION])
    needs = {chapter.name for chapter in contents.chapters if chapter.needs}
    assert needs == {
        *("convergence", "token_properties", "predictability"),
        *("minimal_pairs", "masked", "next_byte", "seed_predictions"),
    }
    page = report.render(contents).overview
    assert "It compares seeds, and needs 2 of a model; 1 is here." in page
    assert "experiments.convergence --suite=mine" not in page


def test_results_of_no_step_alone_make_a_site(toy):
    """As an audit does, which is of a whole run."""
    data = toy.record.to_dataset([0.5])
    audit = Unit.of_run(measure="parity", model="70m", seeds=(0,))
    contents = site.contents(Committed({"parity": [(audit, data)]}), "mine", [toy.QUESTION])
    assert list(contents.models[0].steps) == []
    assert "1 model, 1 seed; 1 of 1 question answered." in report.render(contents).overview
    both = Committed({"parity": [(audit, data), _made(toy)]})
    assert list(site.contents(both, "mine", [toy.QUESTION]).models[0].steps) == [8]


def test_a_file_that_no_report_wrote_stops_the_next_one(toy, tmp_path):
    contents = site.contents(Committed({"parity": [_made(toy)]}), "mine", [toy.QUESTION])
    target = tmp_path / "report.html"
    report.write(contents, target)
    listed = set(json.loads((tmp_path / "report" / report.MANIFEST).read_bytes()))
    files = [path for path in (tmp_path / "report").rglob("*") if path.is_file()]
    assert listed == {path.relative_to(tmp_path / "report").as_posix() for path in files}
    report.write(contents, target)
    note = tmp_path / "report" / "data" / "my notes.csv"
    note.write_text("mine")
    with pytest.raises(report.InputError, match=r"my notes\.csv, which no report wrote"):
        report.write(contents, target)
    assert note.read_text() == "mine"


def _made(toy):
    unit = Unit(measure="parity", model="70m", seeds=(0,), step=8)
    return unit, toy.record.to_dataset([0.25, 0.75])

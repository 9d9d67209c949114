"""The site says what its sections hold, needs nothing but itself, and takes no name for markup."""

import base64
import csv
import hashlib
import html.parser
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import toy_site

from dynamics.errors import InputError
from dynamics.report import pages, site
from dynamics.report.section import Table

HOSTILE = {
    "script": "</script><script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "entities": "a &amp; b < c > d &#x41;",
    "backslashes": "\\1 \\g<0> \\n C:\\con\\nul",
    "formula": "$x^2$ costs $5 and $\\frac{1",
    "path": "../../etc/passwd",
    "right to left": "\u202etxt.exe\u202c שלום",
    "zero width": "ze\u200bro\u200d wi\ufeffdth",
    "very long": "long " * 120,
    "controls": "nul\x00 bell\x07 escape\x1b",
    "half a pair": "half \ud800 of a pair",
    "section end": "]]> <!-- <![CDATA[",
    "template": "{{ 7 * 7 }} {% raw %} %s %(x)s {0}",
    "hidden": "_hidden",
    "quotes": "'single' \"double\" `tick`",
    "not Latin": "日本語 ✓ 🧪",
    "css": "url(#x) var(--model-0) currentColor </style>",
    "line": "two\nlines\tand a tab",
}


class Elements(html.parser.HTMLParser):
    """Start tags with their attributes, and the text outside of scripts; tags close in order."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text, self.scripts, self.styles = [], "", [], []
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside == "script":
            self.scripts.append(data)
        elif inside == "style":
            self.styles.append(data)
        else:
            self.text += data


def readings(elements: Elements) -> dict:
    return json.loads(elements.scripts[0])["plots"]


def html_pages(files: site.Files) -> dict[str, str]:
    """Path from the folder of the overview -> page."""
    inside = {f"report/{p}": text for p, text in files.folder.items() if p.endswith(".html")}
    return {"report.html": files.overview, **inside}


@pytest.fixture(scope="module")
def files() -> site.Files:
    return site.render(toy_site.contents())


@pytest.fixture(scope="module")
def plain_tags(files) -> set[str]:
    return {tag for page in html_pages(files).values() for tag, _ in Elements(page).tags}


@pytest.fixture(scope="module", params=HOSTILE.values(), ids=HOSTILE.keys())
def hostile(request) -> tuple[str, site.Files]:
    return request.param, site.render(toy_site.contents(request.param))


def visible(text: str) -> str:
    """What a page shows of a text: its words, and a mark for what HTML cannot hold."""
    return " ".join(re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", "\ufffd", text).split())


def test_a_name_is_shown_as_it_is_and_is_no_markup(hostile, plain_tags):
    name, files = hostile
    for path, page in html_pages(files).items():
        elements = Elements(page)
        assert visible(name) in " ".join(elements.text.split()), path
        assert {tag for tag, _ in elements.tags} <= plain_tags, path
        assert not [a for _, attrs in elements.tags for a in attrs if a.startswith("on")]
        assert len(elements.scripts) == 2
        page.encode()  # no half of a surrogate pair


def test_names_make_no_paths_and_no_ids(hostile):
    _, files = hostile
    assert all(re.fullmatch(r"((data|figures)/)?[a-z0-9_-]+\.\w+", p) for p in files.folder)
    assert max(map(len, files.folder)) < 80
    for page in html_pages(files).values():
        ids = [attrs["id"] for _, attrs in Elements(page).tags if "id" in attrs]
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", id_) for id_ in ids)
        assert len(ids) == len(set(ids))


def test_a_name_goes_whole_into_csv_and_json(hostile):
    name, files = hostile
    tables = [text for path, text in files.folder.items() if path.startswith("data/alpha-answer")]
    header, *rows = csv.reader(io.StringIO(tables[0], newline=""))
    assert header[2] == f"KL of {name} (nats)"
    assert {row[0] for row in rows} == {f"toy-8{name}", f"toy-16{name}"}
    assert set(json.loads(files.folder["numbers.json"])["sizes of alpha"]) == {name}


def test_figures_are_xml_with_the_name_in_them_shortened(hostile):
    name, files = hostile
    figures = [text for path, text in files.folder.items() if path.startswith("figures/alpha-heat")]
    root = ET.fromstring(figures[0].encode())
    labels = [
        " ".join("".join(e.itertext()).split()) for e in root.iter() if e.tag.endswith("text")
    ]
    first_line = visible(name.split("\n")[0].replace("\t", "\x00"))
    assert any(first_line[:18] in label for label in labels)


def test_a_page_may_do_nothing_but_run_its_own_script(files):
    for page in html_pages(files).values():
        elements = Elements(page)
        metas = [a for tag, a in elements.tags if tag == "meta" and "http-equiv" in a]
        assert [meta["http-equiv"] for meta in metas] == ["Content-Security-Policy"]
        policy = dict(part.split(" ", 1) for part in metas[0]["content"].split("; "))
        assert policy["default-src"] == policy["connect-src"] == "'none'"
        for kind, texts in (("style", elements.styles), ("script", elements.scripts[1:])):
            (text,) = texts
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert policy[f"{kind}-src"] == f"'sha256-{digest}'"
        assert not [tag for tag, attrs in elements.tags if "style" in attrs]


def test_pages_need_no_network_and_link_to_what_is_there(files):
    there = {"report.html", *(f"report/{path}" for path in files.folder)}
    for path, page in html_pages(files).items():
        elements = Elements(page)
        ids = {attrs.get("id") for _, attrs in elements.tags}
        home = "" if path == "report.html" else "report/"
        for tag, attrs in elements.tags:
            for name in ("href", "src", "action", "data"):
                target = attrs.get(name)
                if target is None or target.startswith("data:"):
                    continue
                if target.startswith("#"):
                    assert target[1:] in ids, (path, target)
                else:
                    reached = re.sub(r"^report/\.\./", "", home + target)
                    assert reached in there, (path, tag, target)
        assert "@import" not in page
        outside = set(re.findall(r"https?://[^\s\"'<]*", page)) - {"http://www.w3.org/2000/svg"}
        assert not outside


def test_every_figure_has_a_name_a_caption_its_numbers_and_its_files(files):
    page = files.folder["alpha.html"]
    figures = re.findall(r"<figure.*?</figure>", page, re.S)
    assert len(figures) == 3
    for figure in figures:
        assert re.search(r'<svg role="img" aria-label="[^"]+"', figure)
        assert "What to see in" in re.findall(r"<figcaption>(.*?)</figcaption>", figure, re.S)[0]
        assert "<table>" in figure
        for kind in ("csv", "svg"):
            (path,) = re.findall(rf'href="\.\./report/([^"]*\.{kind})" download', figure)
            assert path in files.folder


def test_the_answer_comes_first_and_never_folds(files):
    page = files.folder["alpha.html"]
    assert page.index('class="card answer') < page.index('<details class="group')
    groups = re.findall(r'<details class="group">.*?</details>\s*(?=<details class="group|</main)',
                        page, re.S)  # fmt: skip
    assert [group.count("<figure") for group in groups] == [0, 2, 0]  # findings, figures, tables
    headline = page[: page.index('class="card answer')]
    assert "the toy is sure." in headline
    assert "the toy is unsure." not in headline
    assert "the toy is unsure." in groups[0]
    assert 'id="alpha-table-of-the-toy"' in groups[2]


def test_csv_holds_the_table_to_the_last_digit(files):
    curves = [toy_site.curve(m, 1 + 0.1 * k) for k, m in enumerate(("toy-8", "toy-16"))]
    table = Table.of_curves(curves, "KL of the toy (nats)")
    header, *rows = csv.reader(io.StringIO(files.folder["data/alpha-answer-the-toy.csv"]))
    assert header == list(table.columns)
    for written, cells in zip(rows, table.rows, strict=True):
        assert written[0] == cells[0]
        numbers = [float(cell) if cell else np.nan for cell in written[1:]]
        np.testing.assert_array_equal(numbers, np.array(cells[1:], float))


def test_json_holds_every_curve(files):
    stored = json.loads(files.folder["numbers.json"])
    drawn = toy_site.curve("toy-16", 1.1)
    written = stored["kl of alpha"]["toy-16"]
    assert written["steps"] == drawn.steps.tolist()
    assert written["errors"] == drawn.rests_on
    for name in ("value", "low", "high"):
        read = [np.nan if v is None else v for v in written[name]]
        np.testing.assert_array_equal(read, getattr(drawn, name))
    assert stored["sizes of alpha"] == {"the toy": [1, None]}


def marker_places(page: str, plot: str) -> np.ndarray:
    """Where markers stand in the SVG of a plot."""
    start = page.index("<svg", page.index(f'data-plot="{plot}"'))
    root = ET.fromstring(page[start : page.index("</svg>", start) + len("</svg>")])
    uses = list(root.iter("use"))
    return np.array([[float(use.get("x", 0)), float(use.get("y", 0))] for use in uses])


@pytest.mark.parametrize("plot", ["alpha-answer-the-toy", "alpha-answer-the-toy-narrow"])
def test_the_pointer_reads_what_is_drawn_where_it_is_drawn(files, plot):
    page = files.folder["alpha.html"]
    places = marker_places(page, plot)
    (panel,) = readings(Elements(page))[plot]["panels"]
    left, top, right, bottom = panel["box"]
    for k, reading in enumerate(panel["curves"]):
        drawn = toy_site.curve(reading["name"], 1 + 0.1 * k)
        px, py, x, y, low, high = np.array(reading["points"], float).T
        np.testing.assert_array_equal(x, drawn.steps)
        np.testing.assert_allclose([y, low, high], [drawn.value, drawn.low, drawn.high], rtol=1e-6)
        assert ((px > left) & (px < right) & (py > top) & (py < bottom)).all()
        for point in np.column_stack([px, py]):
            assert np.abs(places - point).max(1).min() < 0.02
        assert reading["colour"] == f"var(--model-{k})"


def test_the_pointer_reads_the_cells_of_a_heat_map(files):
    (panel,) = readings(Elements(files.folder["alpha.html"]))["alpha-heat-the-toy"]["panels"]
    cells = panel["cells"]
    np.testing.assert_array_equal(cells["values"], toy_site.HEAT)
    assert cells["columns"] == [f"step {step}" for step in toy_site.STEPS]
    assert cells["rows"] == ["the toy", "b", "c"]
    left, top, right, bottom = panel["box"]
    np.testing.assert_allclose([cells["x"][0], cells["x"][-1]], [left, right], atol=0.02)
    np.testing.assert_allclose([cells["y"][0], cells["y"][-1]], [top, bottom], atol=0.02)


def test_panels_over_one_axis_are_read_together(files):
    panels = readings(Elements(files.folder["alpha.html"]))["alpha-rows-the-toy"]["panels"]
    assert len(panels) == 2
    assert len({panel["group"] for panel in panels}) == 1
    assert {panel["x"] for panel in panels} == {"training step"}


def test_the_overview_has_every_track_over_one_axis_and_its_changes(files):
    plot = readings(Elements(files.overview))["timeline"]
    assert len(plot["panels"]) == 2  # a row for each question that has one
    first = [panel["curves"][0]["points"] for panel in plot["panels"]]
    assert [p[0] for p in first[0]] == [p[0] for p in first[1]]
    notes = [mark["text"] for panel in plot["panels"] for mark in panel["marks"]]
    assert notes.count("toy-8: the toy, step 20.0 [10.0, 40.0]") == 2
    assert notes.count("toy-16: end, step 30.0") == 2
    header, *rows = csv.reader(io.StringIO(files.folder["data/timeline-changes.csv"]))
    assert header == ["change", "quantity", "model", "step", "low", "high"]
    assert len(rows) == 4


def test_a_finding_says_in_words_how_far_it_can_be_trusted(files):
    entries = re.findall(r"<li><span class=\"badge.*?</li>", files.overview, re.S)
    assert len(entries) == 2 * 3
    for entry in entries:
        text = " ".join(Elements(entry).text.split())
        (grade,) = re.findall(r"^(sure|unsure|open) the toy is (\1)\. Rests on 3 the toy\.$", text)
        assert 'href="report/alpha.html"' in entry or 'href="report/gamma.html"' in entry
        assert grade


def test_what_was_not_measured_is_named_with_its_command(files):
    assert "Is the toy beta?" in files.overview
    assert "python -m experiments.beta --suite=the toy" in files.overview
    assert "experiments.alpha" not in files.overview
    assert "beta.html" not in files.folder


def test_a_section_without_a_figure_says_why(files):
    assert "No the toy was fit." in files.folder["empty.html"]
    assert "<figure" not in files.folder["empty.html"]


def test_the_theme_decides_every_ink(files):
    page = files.folder["alpha.html"]
    pictures = "".join(re.findall(r"<svg role.*?</svg>", page, re.S))
    assert "#1b1f24" not in pictures
    assert "var(--model-0)" in pictures
    for name in set(re.findall(r"var\(--([\w-]+)\)", page)):
        assert page.count(f"--{name}:") == 2, name  # light and dark
    for path, text in files.folder.items():
        assert not (path.endswith(".svg") and re.search(r"var\(|currentColor", text))


def test_numbers_of_two_questions_never_share_a_name():
    contents = toy_site.contents()
    twice = [contents.chapters[0], contents.chapters[0]]
    with pytest.raises(ValueError, match="kl of alpha"):
        site.render(pages.Contents(suite="x", chapters=twice, models=contents.models))


def test_a_document_takes_the_place_of_a_page_and_may_ask_nobody():
    document = "<html><head><style>p {}</style></head><script>let a = 1 < 2;</script></html>"
    section = toy_site.Section(introduction="", panels=(), document=lambda entries: document)
    chapter = toy_site.Chapter(name="reading", title="To read", command="", section=section)
    files = site.render(pages.Contents(suite="toy", chapters=[chapter], models=[]))
    page = files.folder["reading.html"]
    digest = base64.b64encode(hashlib.sha256(b"let a = 1 < 2;").digest()).decode()
    assert digest in page
    assert "connect-src" in page
    assert page.replace(re.findall(r"\n<meta[^>]*>", page)[0], "") == document
    assert 'href="report/reading.html"' in files.overview


def test_a_site_replaces_the_one_before_and_leaves_nothing_of_it(tmp_path):
    contents = toy_site.contents()
    target = site.write(contents, tmp_path / "report.html")
    assert (tmp_path / "report" / "gamma.html").is_file()
    fewer = pages.Contents(suite="toy", chapters=contents.chapters[:2], models=contents.models)
    assert site.write(fewer, target) == target
    assert not list((tmp_path / "report").rglob("*gamma*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "report.html"]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_failure_leaves_the_site_before_whole(tmp_path, monkeypatch):
    target = site.write(toy_site.contents(), tmp_path / "report.html")
    before = snapshot(tmp_path)

    def fail(self):
        raise RuntimeError("in the middle")

    monkeypatch.setattr(pages.Pages, "provenance", fail)
    with pytest.raises(RuntimeError):
        site.write(toy_site.contents("another"), target)
    assert snapshot(tmp_path) == before


def test_the_overview_is_written_last(tmp_path, monkeypatch):
    written = []
    put = site.write_atomically

    def watch(path, content):
        written.append(sorted(p.name for p in path.with_suffix("").glob("*.html")))
        return put(path, content)

    monkeypatch.setattr(site, "write_atomically", watch)
    site.write(toy_site.contents(), tmp_path / "report.html")
    assert written == [["alpha.html", "empty.html", "gamma.html", "provenance.html"]]


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    precious = tmp_path / "report" / "thesis.tex"
    precious.parent.mkdir()
    precious.write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.tex, which no report wrote"):
        site.write(toy_site.contents(), tmp_path / "report.html")
    assert snapshot(tmp_path) == {"report/thesis.tex": b"mine"}


def test_the_same_contents_give_the_same_bytes(files):
    assert site.render(toy_site.contents()) == files


def test_numbers_carry_no_trace_of_numpy_in_pages(files):
    for page in html_pages(files).values():
        assert not re.search(r"np\.|\bnan\b|array\(", Elements(page).text)

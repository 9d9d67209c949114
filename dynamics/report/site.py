"""A static site from sections: an overview, a page for each question, the numbers behind them.

    OUT/report.html                  the file to open: what happened when, and what was found
    OUT/report/<question>.html       a page for every question that has findings
    OUT/report/provenance.html       settings, and where the results come from
    OUT/report/numbers.json          every drawn curve
    OUT/report/data/<name>.csv       the table behind a figure
    OUT/report/figures/<name>.svg    a figure
    OUT/report/files.json            the list of these files

It reads from a disk without a network, and knows no question. Names in addresses and ids are made
from safe slugs; what a model, a suite or a file is called is data, and shown as it is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dynamics.errors import InputError
from dynamics.files import write_atomically, write_folder_atomically
from dynamics.report import numbers
from dynamics.report.contents import Contents
from dynamics.report.pages import NUMBERS, PROVENANCE, Pages

MANIFEST = "files.json"


@dataclass(frozen=True, kw_only=True)
class Files:
    """The site as text: its first page, and the files of its folder by their relative paths."""

    overview: str
    folder: Mapping[str, str]


def write(contents: Contents, target: Path) -> Path:
    """Writes the overview to `target`, all else into the folder beside it of that name.

    The folder is replaced as a whole, so that no page of a former run stays, and the overview is
    written last: who opens it finds every page that it names.

    Args:
        contents: what to show.
        target: path of the overview; its name ends in ".html".

    Returns:
        `target`.

    Raises:
        InputError: `target` cannot be written, or the folder of its name is no earlier site.
    """
    target = Path(target)
    folder = target.with_suffix("")
    if target.suffix != ".html":
        raise InputError(f"{target}", expected="a path that ends in .html")
    _check_replaceable(folder)
    files = render(contents, target.name)

    def fill(empty: Path):
        listed = json.dumps(sorted([*files.folder, MANIFEST]))
        for path, text in {**files.folder, MANIFEST: listed}.items():
            (empty / path).parent.mkdir(exist_ok=True)
            (empty / path).write_text(text, encoding="utf-8", errors="replace", newline="")

    write_folder_atomically(folder, fill)
    return write_atomically(target, files.overview)


def _check_replaceable(folder: Path):
    """Raises InputError where the folder holds a file that no earlier site wrote."""
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    if not files:
        return
    own = folder / MANIFEST
    written = set(json.loads(own.read_bytes())) if own.is_file() else set()
    foreign = [path for path in files if path.relative_to(folder).as_posix() not in written]
    # A site of before the list of files is known by its page of provenance.
    if foreign if written else not (folder / PROVENANCE).is_file():
        raise InputError(
            f"{folder} with {foreign[0].name}, which no report wrote",
            expected="no folder of that name, or that of an earlier report",
            mend="Move it away: the folder is replaced as a whole.",
        )


def render(contents: Contents, overview: str = "report.html") -> Files:
    """The whole site as text, for a first page of the file name `overview`."""
    pages = Pages(contents, overview, overview.removesuffix(".html"))
    first = pages.overview()
    files = {**pages.questions(), PROVENANCE: pages.provenance(), NUMBERS: _json(contents)}
    return Files(overview=first, folder={**files, **pages.files})


def _json(contents: Contents) -> str:
    sections = [chapter.section for chapter in contents.chapters]
    merged = numbers.merged(section.numbers for section in sections if section is not None)
    return json.dumps(merged, separators=(",", ":"))

"""The file of results as Markdown.

    python -m benchmarks.device.table results/device_checks.json
    python -m benchmarks.device.table results/device_checks.json --into=docs/performance.md

The first prints the tables. The second puts them between the two marks of a document, in the place
of the tables before; it refuses toy sizes, whose times say nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from benchmarks.device import lines
from dynamics.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_string("into", "", "a document that has the two marks")

BEGIN, END = "<!-- device checks: begin -->", "<!-- device checks: end -->"
_NONE = "–"


def markdown(results: Sequence[lines.Line]) -> str:
    """The machine in a few sentences, the times, and what every part found.

    Raises:
        InputError: results without the line of the part `versions`, which names the machine.
    """
    return "\n\n".join([machine(results), times(results), remarks(results)]) + "\n"


def machine(results: Sequence[lines.Line]) -> str:
    """Device, driver, processor, versions and commit."""
    numbers = _versions(results)
    packages = [
        f"{name} {version}" for name, version in numbers["versions"].items() if version != "missing"
    ]
    toy = ["Toy sizes on a CPU: these times say nothing about speed."] if is_toy(results) else []
    return "\n".join(
        [
            *toy,
            f"{numbers['devices']} x {numbers['device']}{_memory(numbers['memory_bytes'])},"
            f" driver {numbers['driver']}; {numbers['processor']}; Python {numbers['python']};",
            f"{', '.join(packages)}; commit {numbers['commit']}.",
        ]
    )


def is_toy(results: Sequence[lines.Line]) -> bool:
    """Whether they are of a CPU, where only toy sizes run."""
    return _versions(results)["platform"] == "cpu"


def times(results: Sequence[lines.Line]) -> str:
    """A row for each part that was timed."""
    rows = [
        [
            line.part,
            spread(line.numbers["ours_s"]),
            _peer(line.numbers),
            spread(line.numbers.get("ratio")),
            both(line.numbers.get("start_s"), "{:.2g} s"),
            both(_gigabytes(line.numbers.get("peak_bytes")), "{:.3g} GB"),
        ]
        for line in results
        if "ours_s" in line.numbers
    ]
    head = ["part", "ours, s", "peer, s", "ratio", "start: ours, peer", "peak: ours, peer"]
    return table(head, rows)


def remarks(results: Sequence[lines.Line]) -> str:
    """A row for each part but `versions`: its state and what it found."""
    rows = [
        [
            line.part,
            line.state,
            f"{line.seconds:.0f}",
            "; ".join([*([line.reason] if line.reason else []), *line.numbers.get("remarks", [])]),
        ]
        for line in results
        if line.part != "versions"
    ]
    return table(["part", "state", "wall time, s", "remarks"], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    >>> print(table(["a", "b"], [["1", "x | y"]]))
    | a | b |
    |---|---|
    | 1 | x / y |
    """
    # A bar within a cell would begin another one.
    cells = [[cell.replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    head_rule = "|" + "---|" * len(head)
    return "\n".join(
        [f"| {' | '.join(head)} |", head_rule, *(f"| {' | '.join(row)} |" for row in cells)]
    )


def spread(values: dict | None) -> str:
    """ "median [least, most]" of numbers by these names.

    >>> spread({"median": 2.0, "least": 1.5, "most": 2.25})
    '2 [1.5, 2.25]'
    """
    if values is None:
        return _NONE
    return f"{values['median']:.3g} [{values['least']:.3g}, {values['most']:.3g}]"


def both(values: dict | None, form: str) -> str:
    """Ours and the peer's, each by `form`.

    >>> both({"ours": 2.0, "peer": None}, "{:.2g} s")
    '2 s, –'
    """
    if values is None or (values["ours"] is None and values["peer"] is None):
        return _NONE
    sides = (values["ours"], values["peer"])
    return ", ".join(_NONE if value is None else form.format(value) for value in sides)


def into(document: str, tables: str) -> str:
    """The document with the tables between its marks.

    Raises:
        InputError: a document without the marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise InputError("a document without the marks", expected=f"{BEGIN} and {END}, in lines")
    return f"{before}{begin}\n\n{tables}\n{end}{after}"


def _versions(results: Sequence[lines.Line]) -> dict:
    for line in results:
        if line.part == "versions" and line.numbers:
            return line.numbers
    raise InputError(
        "results that do not say on what they were measured", expected="a line of `versions`"
    )


def _peer(numbers: dict) -> str:
    if "peer" not in numbers:
        return _NONE
    absent = numbers["peer_absent"]
    return f"{numbers['peer']}: {absent or spread(numbers['peer_s'])}"


def _gigabytes(peaks: dict | None) -> dict | None:
    if peaks is None:
        return None
    return {side: None if peak is None else peak / 1e9 for side, peak in peaks.items()}


def _memory(size: int | None) -> str:
    return "" if size is None else f" ({size / 1e9:.0f} GB for JAX)"


def main(arguments: Sequence[str]):
    if len(arguments) != 2:
        raise app.UsageError("The file of results is missing.")
    try:
        results = lines.read(Path(arguments[1]))
        tables = markdown(results)
        if not FLAGS.into:
            print(tables, end="")
            return
        if is_toy(results):
            raise InputError(f"{arguments[1]}, of toy sizes", expected="results of an accelerator")
        path = Path(FLAGS.into)
        path.write_text(into(path.read_text("utf-8"), tables), "utf-8")
    except (InputError, OSError) as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    app.run(main)

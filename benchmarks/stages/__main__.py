"""The table of docs/stages.md: what the rule finds on planted curves.

    OMP_NUM_THREADS=1 python -m benchmarks.stages --out=stages_table.jsonl

500 curves of each of twelve kinds take about an hour on one core. Each curve is a line of the file;
a run that was cut off goes on where it stopped. `--table` prints the table of what is there.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from absl import app, flags

from benchmarks.stages.judged import Judged, judge
from benchmarks.stages.planted import KINDS

COUNTS = (30, 60, 190, 500)  # checkpoints
NOTHING = "–"
FIRST_SEED = 100_000  # no constant of the rule was set on curves of these seeds

_OUT = flags.DEFINE_string("out", "stages_table.jsonl", "The file of curves that were judged.")
_CURVES = flags.DEFINE_integer("curves", 500, "Curves of each kind, over all checkpoint counts.")
_TABLE = flags.DEFINE_bool("table", False, "Print the table of what the file has, and stop.")


def main(_):
    path = Path(_OUT.value)
    done = read(path)
    if not _TABLE.value:
        with path.open("a", encoding="utf-8") as lines:
            for kind, seed, count in _order(_CURVES.value):
                if (kind, seed, count) not in done:
                    judged = judge(kind, seed, count)
                    done[kind, seed, count] = judged
                    lines.write(json.dumps([kind, seed, count, dataclasses.asdict(judged)]) + "\n")
                    lines.flush()
    print(table(done))


def _order(curves: int) -> Iterator[tuple[str, int, int]]:
    """Kind, seed and count, all kinds in turn, so that a part is a fair sample of the whole."""
    for seed in range(FIRST_SEED, FIRST_SEED + curves // len(COUNTS)):
        for count in COUNTS:
            for kind in KINDS:
                yield kind, seed, count


def read(path: Path) -> dict[tuple[str, int, int], Judged]:
    """The curves that a file holds; a last line that was cut off is not there."""
    judged = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                kind, seed, count, counts = json.loads(line)
            except json.JSONDecodeError:
                continue
            judged[kind, seed, count] = Judged(**counts)
    return judged


def table(judged: dict[tuple[str, int, int], Judged]) -> str:
    """Markdown: a row for each kind; cells are of all curves, and in brackets by checkpoints."""
    by_count = " / ".join(str(count) for count in COUNTS)
    names = ["curves", "planted", "excused", "found", "false per curve", "intervals hold"]
    rows = [
        f"| kind ({by_count} checkpoints) | {' | '.join(names)} |",
        "| --- |" + " --- |" * len(names),
    ]
    for kind in KINDS:
        parts = [
            sum((judged[key] for key in judged if (key[0], key[2]) == (kind, count)), Judged())
            for count in COUNTS
        ]
        rows.append(_row(kind, sum(parts, Judged()), parts))
    return "\n".join(rows)


def _row(kind: str, whole: Judged, parts: list[Judged]) -> str:
    def cell(measure: Callable[[Judged], str]) -> str:
        if measure(whole) == NOTHING:
            return NOTHING
        return f"{measure(whole)} ({' / '.join(measure(part) for part in parts)})"

    columns = [
        str(whole.curves),
        str(whole.planted),
        _percent(whole.planted - whole.seen, whole.planted),
        cell(lambda judged: _percent(judged.recalled, judged.seen)),
        cell(lambda judged: f"{judged.false / judged.curves:.2f}" if judged.curves else NOTHING),
        cell(lambda judged: _percent(judged.held, judged.paired)),
    ]
    return f"| {kind} | {' | '.join(columns)} |"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else NOTHING


if __name__ == "__main__":
    app.run(main)

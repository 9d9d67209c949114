"""What docs/stages.md shows is what its example prints and draws, and what the rule is."""

import re
from pathlib import Path

from benchmarks.stages.planted import KINDS
from dynamics.analysis.stages import RULE

PAGE = (Path(__file__).parents[2] / "docs" / "stages.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_page_shows(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```\n(edge.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "stages.md", "exec"), {})

    def kinds_and_steps(text):
        return [
            (kind, float(f"{int(step):.1g}"))
            for kind, step in re.findall(r"(\w+) at step (\d+)", text)
        ]

    assert kinds_and_steps(capsys.readouterr().out) == kinds_and_steps(shown)
    assert (tmp_path / "stages.png").stat().st_size > 10_000


def test_the_page_states_the_rule_as_it_is():
    text = " ".join(PAGE.split())
    for part in (
        f"tolerance, {100 * RULE.tolerance:g} % per e-fold",
        f"factor of {RULE.contrast:g} at least",
        f"by {100 * RULE.slow:g} % of its range",
        f"by {100 * RULE.fast:g} % at more than {100 * RULE.brisk:g} % per e-fold",
        f"by {100 * RULE.missing:g} % of its range more without it",
        f"slower than {100 * RULE.edge_tolerance:g} %",
        f"drop of {100 * RULE.fall:g} % of the range",
        f"{100 * RULE.confidence:g} % where a boundary is reported at all",
        f"hold {100 * RULE.level:g} % of the posterior",
        f"At least {RULE.fewest} finite values",
    ):
        assert part in text, part


def test_the_table_has_every_kind_of_curve():
    rows = re.findall(r"^\| ([^|]+) \| \d+ \| \d+ \|", PAGE, re.MULTILINE)
    assert rows == list(KINDS)

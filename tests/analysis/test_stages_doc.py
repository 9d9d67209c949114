"""What docs/stages.md shows is what its example prints and draws."""

import re
from pathlib import Path

from dynamics.analysis.stages import RULE

PAGE = (Path(__file__).parents[2] / "docs" / "stages.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_page_shows(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```\n(shoulder.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "stages.md", "exec"), {})

    def kinds_and_steps(text):
        return [
            (kind, round(int(step), -3)) for kind, step in re.findall(r"(\w+) at step (\d+)", text)
        ]

    assert kinds_and_steps(capsys.readouterr().out) == kinds_and_steps(shown)
    assert (tmp_path / "stages.png").stat().st_size > 10_000


def test_the_page_states_the_rule_as_it_is():
    for text in (
        f"length {RULE.length}",
        f"{RULE.reach} times the gap",
        f"{100 * RULE.tolerance:g} % of the",
        f"{100 * RULE.rise:g} % of its range",
        f"first {RULE.start:g} steps",
        f"{RULE.num_draws} posterior draws",
        f"middle {100 * RULE.level:g} %",
    ):
        assert text in PAGE.replace("\n", " ").replace("   ", " ").replace("  ", " "), text
    assert (RULE.apart, RULE.least_share, RULE.edge, RULE.fewest) == (
        3,
        0.5,
        0.1,
        8,
    )  # in words on the page

"""docs/landscapes.md: its tables hold exact values, and the scripts that it points to draw."""

import re
import runpy
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest

from dynamics.slt import deep_linear

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "landscapes.md").read_text(encoding="utf-8")
EXAMPLE = SimpleNamespace(**runpy.run_path(str(DOCS / "deep_linear.py")))


def rows(columns: int) -> list[list[str]]:
    """Cells of the page's tables with so many columns, their heads left out."""
    cells = [
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in PAGE.splitlines()
        if line[:1] == "|"
    ]
    return [row for row in cells if len(row) == columns and row[2][:1].isdigit()]


def test_networks_of_the_table_have_the_exact_coefficient_and_estimates_are_near():
    networks = [row for row in rows(8) if "," in row[0]]
    assert {(tuple(map(int, row[0].split(","))), int(row[1])) for row in networks} == set(
        EXAMPLE.random_shapes()
    )
    for widths, rank, llc, multiplicity, estimate, *_ in networks:
        exact = deep_linear.learning_coefficient(tuple(map(int, widths.split(","))), int(rank))
        assert exact == (float(llc), int(multiplicity))
        assert float(estimate) == pytest.approx(exact.llc, rel=0.15)


def test_landscapes_of_the_table_agree_with_their_exact_values():
    landscapes = [row for row in rows(8) if "w1" in row[0]]
    assert len(landscapes) == 5
    for _, llc, multiplicity, slope, _, exact, estimate, sem in landscapes:
        assert abs(float(estimate) - float(exact)) < 4 * float(sem)
        assert float(slope) == pytest.approx(
            float(Fraction(llc)), abs=0.001 + 0.03 * (int(multiplicity) - 1)
        )


def test_pictures_of_the_page_exist():
    for name in re.findall(r"\]\(([\w.]+)\)", PAGE):
        assert (DOCS / name).exists(), name


def test_the_figure_of_networks_draws_every_estimate():
    shapes = EXAMPLE.random_shapes(4)
    made = [SimpleNamespace(llc=shape.exact.llc, sem=0.1) for shape in shapes]
    (ax,) = EXAMPLE.draw(shapes, made).axes
    assert sum(len(bars.lines[0].get_xdata()) for bars in ax.containers) == 4

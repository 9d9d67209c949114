"""What a page is made of: findings as curves, panels with their words, sections of panels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dynamics.analysis import curves
from dynamics.analysis.audits import Audit
from dynamics.analysis.byte_divergence import ByteDivergence
from dynamics.analysis.calibration import Calibration
from dynamics.analysis.curves import Curve, Divergence, Llc, Weights
from dynamics.analysis.expected import Expected
from dynamics.analysis.hessians import Hessians
from dynamics.analysis.known_truth import KnownTruth
from dynamics.analysis.minimal_pairs import Judgements
from dynamics.analysis.properties import Properties
from dynamics.analysis.run_stages import RunStages
from dynamics.analysis.sweeps import Sweeps


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that a store holds, as curves; empty where a measure is absent."""

    divergence: list[Divergence]
    ngrams: dict[int, float]
    llc: list[Llc]
    trace: list[Curve]
    largest: list[Curve]
    smallest: list[Curve]
    weights: list[Weights]
    audit: Audit | None = None
    calibration: tuple[Calibration, ...] = ()
    sweeps: tuple[Sweeps, ...] = ()
    stages: tuple[RunStages, ...] = ()
    hessians: tuple[Hessians, ...] = ()
    masked: tuple[Divergence, ...] = ()
    per_byte: tuple[ByteDivergence, ...] = ()
    truth: tuple[KnownTruth, ...] = ()
    pairs: tuple[Judgements, ...] = ()
    properties: Properties | None = None
    expected: tuple[Expected, ...] = ()
    in_context: tuple[Curve, ...] = ()
    in_context_positions: str = ""

    @property
    def models(self) -> list[str]:
        """Every model of any measure, by size."""
        names = {
            one.model
            for one in (
                *self.divergence,
                *self.trace,
                *self.weights,
                *self.calibration,
                *self.sweeps,
            )
        }
        names |= {one.model for one in (*self.masked, *self.pairs, *self.per_byte, *self.truth)}
        return sorted(names | {one.estimate.model for one in self.llc}, key=curves.natural)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture with its words."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Panels of one measure; `missing` says how to get them where there are none."""

    name: str
    title: str
    question: str
    panels: list[Panel]
    missing: str = ""
    rows: tuple[dict[str, str], ...] = ()  # a table below the panels: column -> text

"""Singular learning theory at checkpoints: the local learning coefficient, sampled and judged.

Values that estimators can be held to are in `exact_values` and `deep_linear`.
"""

from dynamics.slt.chain import Run, Traces, segments
from dynamics.slt.compare import Difference, Sensitivity, difference, sensitivity
from dynamics.slt.curve import estimate_llc_curve
from dynamics.slt.estimate import LLCEstimate
from dynamics.slt.foretell import Suggestion, suggest_for
from dynamics.slt.landscape import Landscape, measure_landscape
from dynamics.slt.language_model import estimate_language_model_llc, part_mask, trivial_loss
from dynamics.slt.llc import estimate_llc
from dynamics.slt.presets import PRESETS
from dynamics.slt.pull import PullExponent
from dynamics.slt.quadratic import QuadraticReference, Slope, quadratic_llc
from dynamics.slt.response import Response, loss_covariance, susceptibility
from dynamics.slt.samplers import (
    BASELINES,
    MALA,
    SCALINGS,
    SGLD,
    SGNHT,
    AdamSGLD,
    Constants,
    RMSpropSGLD,
    Sampler,
)
from dynamics.slt.stability import (
    SpectrumEnds,
    Stability,
    assess_stability,
    measure_spectrum_ends,
)
from dynamics.slt.suggest import suggest
from dynamics.slt.summary import summarise
from dynamics.slt.target import Outcome
from dynamics.slt.verdict import Verdict

__all__ = [
    "BASELINES",
    "MALA",
    "PRESETS",
    "SCALINGS",
    "SGLD",
    "SGNHT",
    "AdamSGLD",
    "Constants",
    "Difference",
    "LLCEstimate",
    "Landscape",
    "Outcome",
    "PullExponent",
    "QuadraticReference",
    "RMSpropSGLD",
    "Response",
    "Run",
    "Sampler",
    "Sensitivity",
    "Slope",
    "SpectrumEnds",
    "Stability",
    "Suggestion",
    "Traces",
    "Verdict",
    "assess_stability",
    "difference",
    "estimate_language_model_llc",
    "estimate_llc",
    "estimate_llc_curve",
    "loss_covariance",
    "measure_landscape",
    "measure_spectrum_ends",
    "part_mask",
    "quadratic_llc",
    "segments",
    "sensitivity",
    "suggest",
    "suggest_for",
    "summarise",
    "susceptibility",
    "trivial_loss",
]

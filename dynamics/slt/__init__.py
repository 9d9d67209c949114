"""Singular learning theory at checkpoints: the local learning coefficient sampled, and judged."""

from dynamics.slt.chain import Run, segments
from dynamics.slt.compare import Difference, Sensitivity, difference, sensitivity
from dynamics.slt.curve import estimate_llc_curve
from dynamics.slt.language_model import estimate_language_model_llc
from dynamics.slt.llc import LLCEstimate, estimate_llc, summarise
from dynamics.slt.plan import Plan
from dynamics.slt.response import loss_covariance, susceptibility
from dynamics.slt.samplers import MALA, SGLD, SGNHT, AdamSGLD, RMSpropSGLD
from dynamics.slt.verdict import Verdict

__all__ = [
    "MALA",
    "SGLD",
    "SGNHT",
    "AdamSGLD",
    "Difference",
    "LLCEstimate",
    "Plan",
    "RMSpropSGLD",
    "Run",
    "Sensitivity",
    "Verdict",
    "difference",
    "estimate_language_model_llc",
    "estimate_llc",
    "estimate_llc_curve",
    "loss_covariance",
    "segments",
    "sensitivity",
    "summarise",
    "susceptibility",
]

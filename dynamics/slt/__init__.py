"""Singular learning theory at checkpoints: the local learning coefficient sampled, and judged."""

from dynamics.slt.llc import LLCEstimate, estimate_llc, summarise
from dynamics.slt.plan import Plan, Run, segments
from dynamics.slt.samplers import SGLD
from dynamics.slt.verdict import Verdict, explained_by_loss

__all__ = [
    "SGLD",
    "LLCEstimate",
    "Plan",
    "Run",
    "Verdict",
    "estimate_llc",
    "explained_by_loss",
    "segments",
    "summarise",
]

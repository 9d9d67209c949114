"""Samplers of exp(-n beta l(w) - gamma/2 |w - w*|^2), each a `Sampler` with a kernel of its own."""

from dynamics.slt.samplers.base import BASELINES, SCALINGS, Constants, Sampler
from dynamics.slt.samplers.kernel import Kernel, StepStats, Target
from dynamics.slt.samplers.langevin import MALA, SGLD
from dynamics.slt.samplers.preconditioned import AdamSGLD, RMSpropSGLD
from dynamics.slt.samplers.thermostat import SGNHT

__all__ = [
    "BASELINES",
    "MALA",
    "SCALINGS",
    "SGLD",
    "SGNHT",
    "AdamSGLD",
    "Constants",
    "Kernel",
    "RMSpropSGLD",
    "Sampler",
    "StepStats",
    "Target",
]

"""Samplers of exp(-n beta l(w) - gamma/2 |w - w*|^2): a `plan.Plan` each, whose kernel is an (init,
step)."""

from dynamics.slt.samplers.langevin import MALA, SGLD
from dynamics.slt.samplers.preconditioned import AdamSGLD, RMSpropSGLD
from dynamics.slt.samplers.thermostat import SGNHT

__all__ = ["MALA", "SGLD", "SGNHT", "AdamSGLD", "RMSpropSGLD"]

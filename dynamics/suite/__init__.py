"""Which checkpoints: grids of (model, seed, step), each cell with the place its files come from."""

from dynamics.suite.file import read
from dynamics.suite.grid import Causes, Cell, Source, Suite, folder_tree
from dynamics.suite.published import (
    PYTHIA_LOG_STEPS,
    PYTHIA_STEPS,
    multibert,
    polypythia,
    polypythia_causes,
    polypythia_data,
    polypythia_weights,
    pythia,
)
from dynamics.suite.steps import choose, linear, log_spaced

__all__ = [
    "PYTHIA_LOG_STEPS",
    "PYTHIA_STEPS",
    "Causes",
    "Cell",
    "Source",
    "Suite",
    "choose",
    "folder_tree",
    "linear",
    "log_spaced",
    "multibert",
    "polypythia",
    "polypythia_causes",
    "polypythia_data",
    "polypythia_weights",
    "pythia",
    "read",
]

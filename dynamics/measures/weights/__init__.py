"""How the weights of a model are spread: histograms, moments, zeros, modes, pictures.

`census` is of one stored tensor, NumPy alone and near the speed of memory; `bins` its grid,
`patterns` how 16-bit weights are counted, `modes` whether there are two. `density` and
`model_density` are of params under jit, on any device. `pictures` are what the paper's Figure 1
shows of a model.
"""

from dynamics.measures.weights.bins import Bins
from dynamics.measures.weights.histogram import (
    Density,
    default_half_width,
    density,
    edges,
    matrices,
    model_density,
)
from dynamics.measures.weights.modes import BANDWIDTH, Modes
from dynamics.measures.weights.pictures import Pictures, picture_fn
from dynamics.measures.weights.tensor_census import NEAR_ZERO, Census, census, common_vector

__all__ = [
    "BANDWIDTH",
    "NEAR_ZERO",
    "Bins",
    "Census",
    "Density",
    "Modes",
    "Pictures",
    "census",
    "common_vector",
    "default_half_width",
    "density",
    "edges",
    "matrices",
    "model_density",
    "picture_fn",
]

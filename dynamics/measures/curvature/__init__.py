"""Curvature of a loss: Hessian and Gauss-Newton products, traces, eigenvalues, spectral densities.

Everything is a statement about the loss of one batch. The Hessian of a batch is that of the whole
data plus sampling noise, which biases the extreme eigenvalues outward: take the same batch at every
checkpoint, and as large a one as a few products allow. `over_batches` says how far batches differ.
loss_fn(params, batch) is a mean, a scalar; build it once and pass the same object at every
checkpoint, because compiled programs are kept by its identity: a fresh lambda at each call compiles
at each call.

`mask`, where given, is a pytree like params of 0 and 1, each leaf of its parameter's rank and
broadcastable to it, as `restrict.select` makes them; the statistics are then those of the block
over the parameters at 1.
"""

from dynamics.measures.curvature.batches import OverBatches, over_batches
from dynamics.measures.curvature.density import (
    Rule,
    SpectralDensity,
    along,
    quadrature,
    spectral_density,
)
from dynamics.measures.curvature.eigenvalues import ExtremeEigenvalues, ends, extreme_eigenvalues
from dynamics.measures.curvature.products import Product, accumulated, gauss_newton, hessian, hvp
from dynamics.measures.curvature.trace import (
    Forms,
    Moments,
    hessian_trace,
    probe,
    sketched_trace,
    trace,
)

__all__ = [
    "ExtremeEigenvalues",
    "Forms",
    "Moments",
    "OverBatches",
    "Product",
    "Rule",
    "SpectralDensity",
    "accumulated",
    "along",
    "ends",
    "extreme_eigenvalues",
    "gauss_newton",
    "hessian",
    "hessian_trace",
    "hvp",
    "over_batches",
    "probe",
    "quadrature",
    "sketched_trace",
    "spectral_density",
    "trace",
]

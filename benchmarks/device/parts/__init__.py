"""The parts, in their order, with their sizes on an accelerator and at toy size.

A part is a module with `Sizes` and `run(sizes, earlier) -> numbers`.
"""

from benchmarks.device.part import Part
from benchmarks.device.parts import (
    agreement,
    density,
    fast_tests,
    hvp,
    kl,
    layouts,
    llc,
    llc_variance,
    rates,
    training,
    versions,
)

_ON_DEVICE = (
    "tests/measures/test_divergence.py",
    "tests/measures/test_curvature.py",
    "tests/measures/test_spectrum.py",
    "tests/slt/test_samplers.py",
)
_FEW = (
    "tests/slt/test_samplers.py::test_frozen_weights_stay[SGLD]",
    "tests/measures/test_divergence.py::test_diagonal_is_zero_and_shift_invariant",
    "tests/measures/test_curvature.py::test_diagonal_quadratic_is_exact",
)
_SMALL = llc.Sizes("50k", windows=8, length=64, chains=10, draws=100, step_size=1e-4, pairs=3)
_TINY = llc.Sizes("tiny", windows=4, length=16, chains=2, draws=20, step_size=1e-3, pairs=2)

PARTS = (
    Part("versions", versions.run, "device", 40, versions.Sizes(), versions.Sizes()),
    Part("rates", rates.run, "device", 40, rates.Sizes(8192, 2**28), rates.Sizes(256, 2**20)),
    Part(
        "agreement",
        agreement.run,
        "device",
        90,
        agreement.Sizes("50k", vocabulary=50304),
        agreement.Sizes("tiny", vocabulary=100),
    ),
    Part(
        "fast_tests",
        fast_tests.run,
        "fast_tests",
        85,
        fast_tests.Sizes(_ON_DEVICE, seconds=55),
        fast_tests.Sizes(_FEW, seconds=30),
    ),
    Part("llc_small", llc.run, "llc", 90, _SMALL, _TINY),
    Part(
        "llc_70m",
        llc.run,
        "llc",
        60,
        llc.Sizes("70m", windows=8, length=128, chains=1, draws=32, step_size=3e-5, pairs=4),
        _TINY,
    ),
    Part(
        "llc_variance",
        llc_variance.run,
        "llc",
        90,
        _SMALL._replace(draws=60, pairs=6),
        _TINY,
    ),
    Part(
        "hvp_14m",
        hvp.run,
        "hvp",
        50,
        hvp.Sizes("14m", windows=8, length=128, pairs=5),
        hvp.Sizes("tiny", windows=2, length=8, pairs=2),
    ),
    Part(
        "hvp_70m",
        hvp.run,
        "hvp",
        50,
        hvp.Sizes("70m", windows=8, length=128, pairs=5),
        hvp.Sizes("tiny", windows=2, length=8, pairs=2),
    ),
    Part(
        "kl_14m",
        kl.run,
        "kl",
        70,
        kl.Sizes("14m", seeds=5, windows=16, pairs=5, more_windows=(127, 508)),
        kl.Sizes("tiny", seeds=3, windows=15, pairs=1, more_windows=(30,)),
    ),
    Part(
        "kl_160m",
        kl.run,
        "kl",
        90,
        kl.Sizes("160m", seeds=5, windows=16, pairs=5, more_windows=()),
        kl.Sizes("tiny", seeds=3, windows=15, pairs=1, more_windows=()),
    ),
    Part(
        "density",
        density.run,
        "density",
        30,
        density.Sizes(1024, 50304, repeats=10),  # the unembedding of a 410m
        density.Sizes(16, 1000, repeats=2),
    ),
    Part(
        "training",
        training.run,
        "training",
        40,
        training.Sizes("nano", 1, steps=200),
        training.Sizes("smoke", 0, steps=10),
    ),
    Part("layouts", layouts.run, "layouts", 60, layouts.Sizes((1, 8)), layouts.Sizes((1, 3))),
)

"""Ten deep linear networks of random shape: estimated and exact learning coefficients.

    python docs/deep_linear.py

It takes under a minute on two cores, and draws deep_linear.png beside itself.

Axes: L layers and widths H_0 ... H_L, padded to LAYERS matrices of SIDE x SIDE so that one program
serves all shapes.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import slt
from dynamics.figures import style
from dynamics.slt import deep_linear

LAYERS, SIDE, NBETA = 4, 8, 1e4


class Shape(NamedTuple):
    widths: tuple[int, ...]
    rank: int

    @property
    def exact(self) -> deep_linear.Degeneracy:
        return deep_linear.learning_coefficient(self.widths, self.rank)


def random_shapes(count: int = 10, seed: int = 0) -> list[Shape]:
    """Two to four layers, widths 2 to 8, ranks from 0 to the narrowest width; uniform."""
    rng, shapes = np.random.default_rng(seed), []
    while len(shapes) < count:
        widths = tuple(rng.integers(2, SIDE + 1, rng.integers(2, LAYERS + 1) + 1).tolist())
        shapes.append(Shape(widths, int(rng.integers(0, min(widths) + 1))))
    return shapes


def padded(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """[LAYERS,SIDE,SIDE]: each matrix in the corner of a slice; zero elsewhere."""
    stack = np.zeros((LAYERS, SIDE, SIDE), np.float32)
    for layer, matrix in zip(stack, matrices, strict=False):
        layer[: matrix.shape[0], : matrix.shape[1]] = matrix
    return stack


def network(shape: Shape):
    """w* [LAYERS,SIDE,SIDE], and the description of the network that the loss takes as its data.

    The description has a leading axis of 1: a data set of one item.
    """
    center = deep_linear.degenerate_point(*shape)
    padding = np.zeros((LAYERS, SIDE, SIDE), np.float32)
    padding[len(center) :] = np.eye(SIDE)  # layers beyond the network pass everything on
    weights = padded([np.ones_like(matrix) for matrix in center])  # 1 where there is a weight
    target = padded([deep_linear.target(*shape)])[0]
    description = {"weights": weights, "padding": padding, "target": target}
    return padded(center), {name: array[None] for name, array in description.items()}


def loss(w, network):
    """|W_L ... W_1 - A|^2 / 2; the padding does not change it."""
    first, *rest = w * network["weights"][0] + network["padding"][0]
    product = first
    for matrix in rest:
        product = matrix @ product
    return jnp.sum((product - network["target"][0]) ** 2) / 2


def sampler(shape: Shape, num_chains: int = 20) -> slt.SGLD:
    """Chains that stay near w*, with epsilon (n beta h + gamma) <= 0.4.

    Where only gamma holds the weights, layer s becomes a random matrix of norm near (sqrt H_s +
    sqrt H_{s-1})/sqrt gamma. If w* holds an identity, of norm 1, gamma keeps the largest of these
    norms at 2. Then the noise has the size of the weights, and the curvature stays near that at w*,
    h = L; half of 0.4 is left for its growth. At rank 0 nothing in w* sets a scale, and gamma acts
    only through n beta gamma^-L, which should be large. There the norm is sqrt 8, and h is the
    typical squared singular value, 2. Such chains start where the curvature is 0, and need longer.
    """
    norm = max(np.sqrt(a) + np.sqrt(b) for a, b in itertools.pairwise(shape.widths))
    if shape.rank:
        pull, curvature, product, draws = norm**2 / 4, len(shape.widths) - 1, 0.2, 1000
    else:
        pull, curvature, product, draws = norm**2 / 8, 2, 0.4, 2500
    return slt.SGLD(
        step_size=product / (NBETA * curvature + pull),
        nbeta=NBETA,
        localization=pull,
        num_chains=num_chains,
        num_draws=draws,
        burn_in=draws // 3,
        thinning=10,
    )


def estimates(shapes: Sequence[Shape]) -> list[slt.LLCEstimate]:
    return [
        slt.estimate_llc(loss, *network(shape), jax.random.key(0), sampler(shape))
        for shape in shapes
    ]


def draw(shapes: Sequence[Shape], estimates: Sequence[slt.LLCEstimate]):
    """Estimate against lambda, and the band of 15 %."""
    figure, ax = style.axes("estimate, ± 2 SE", "learning coefficient λ, exact")
    figure.set_size_inches(6.4, 4.2)
    end = 1.15 * max(shape.exact.llc for shape in shapes)
    line = np.array([0, end])
    ax.fill_between(
        line, 0.85 * line, 1.15 * line, color=style.GRID, alpha=0.6, linewidth=0, label="± 15 %"
    )
    ax.plot(line, line, color=style.QUIET, linewidth=1, linestyle=":")
    for depth, color in zip((2, 3, 4), style.ramp(3), strict=True):
        for has_rank, fill in ((True, color), (False, "white")):
            rows = [
                (shape.exact.llc, estimate.llc, 2 * estimate.sem)
                for shape, estimate in zip(shapes, estimates, strict=True)
                if len(shape.widths) == depth + 1 and (shape.rank > 0) == has_rank
            ]
            if not rows:
                continue
            exact, llc, error = np.array(rows).T
            ax.errorbar(
                exact,
                llc,
                error,
                label=f"{depth} layers" + ("" if has_rank else ", rank 0"),
                color=color,
                markerfacecolor=fill,
                marker=style.MARKERS[depth - 2],
                markersize=7,
                linestyle="none",
            )
    ax.set_xlim(0, end)
    ax.set_ylim(0, 1.15 * end)
    ax.legend(frameon=False, fontsize=9, labelcolor=style.INK, loc="upper left")
    return figure


def main():
    shapes = random_shapes()
    sampled = estimates(shapes)
    print("widths               rank  lambda   m  estimate     SE   ratio  gamma  epsilon  R-hat")
    for shape, estimate in zip(shapes, sampled, strict=True):
        llc, multiplicity = shape.exact
        print(
            f"{shape.widths!s:20s} {shape.rank:4d} {llc:7.1f} {multiplicity:3d}"
            f" {estimate.llc:9.3f} {estimate.sem:6.3f} {estimate.llc / llc:7.3f}"
            f" {estimate.localization:6.2f} {estimate.step_size:8.1e} {estimate.rhat:6.3f}"
        )
    draw(shapes, sampled).savefig(Path(__file__).with_suffix(".png"), dpi=130, facecolor="white")


if __name__ == "__main__":
    main()

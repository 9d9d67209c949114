"""Volumes, posteriors and free energies of toy landscapes, exact, and the estimates beside them.

    python docs/landscapes.py

It takes half a minute on two cores, and draws landscapes.png and crossing.png beside itself.

Sections 4 and 5, appendix A.1 and Figs. 2 and 3 of Hoogland et al. (2024), "Loss Landscape
Degeneracy and Stagewise Development in Transformers", with numbers. landscapes.md explains them.
Axes: C chains, V angles (as log tan of the angle to an axis), E loss thresholds.
"""

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import slt
from dynamics.figures import style

RADIUS = 0.5  # of the disc that volumes are taken in
THRESHOLDS = np.geomspace(1e-20, 1e-2, 55)  # epsilon
FOLDED = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # signs of the four quadrants
NO_DATA = np.zeros((2, 1), np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Landscape:
    """A loss of two weights and how to sample it.

    It is least at the origin and rises along every ray within the disc.
    """

    formula: str
    loss: Callable  # (w_1, w_2) -> loss, NumPy or JAX
    llc: float  # lambda
    multiplicity: int = 1
    nbeta: float
    localization: float
    step_size: float
    thinning: int


# Steps stay below epsilon (n beta h + gamma) = 0.4, h being the curvature where the posterior still
# has weight.
LANDSCAPES = (
    Landscape(
        formula="$w_1^2 + w_2^2$",
        loss=lambda x, y: x**2 + y**2,
        llc=1.0,
        nbeta=1e3,
        localization=1.0,
        step_size=2e-5,
        thinning=5,
    ),
    Landscape(
        formula="$w_1^4 + w_2^4$",
        loss=lambda x, y: x**4 + y**4,
        llc=0.5,
        nbeta=1e3,
        localization=1.0,
        step_size=2e-4,
        thinning=10,
    ),
    Landscape(
        formula="$w_1^2 w_2^4$",
        loss=lambda x, y: x**2 * y**4,
        llc=0.25,
        nbeta=1e3,
        localization=1.0,
        step_size=2e-5,
        thinning=300,
    ),
    Landscape(
        formula="$(w_1 - 1)^2 (w_1^2 + w_2^2)^4$",
        loss=lambda x, y: (x - 1) ** 2 * (x**2 + y**2) ** 4,
        llc=0.25,
        nbeta=1e8,
        localization=20.0,
        step_size=2e-5,
        thinning=20,
    ),
    Landscape(
        formula="$w_1^2 w_2^2$",
        loss=lambda x, y: x**2 * y**2,
        llc=0.5,
        multiplicity=2,
        nbeta=1e3,
        localization=1.0,
        step_size=5e-5,
        thinning=150,
    ),
)


def directions(step=0.02, reach=40.0):
    """Unit vectors (cos, sin) [V] of a quadrant, and the weights dtheta of a quadrature over it.

    It is the trapezoid rule in v = log tan theta. It comes within e^-40 of both axes, where the
    singular landscapes have their ridges, with full relative precision.
    """
    v = np.arange(-reach, reach + step / 2, step)
    return (
        np.exp(-np.logaddexp(0, 2 * v) / 2),
        np.exp(-np.logaddexp(0, -2 * v) / 2),
        step / (2 * np.cosh(v)),
    )


def volume(loss, threshold: float) -> float:
    """V(epsilon), the area of {l <= epsilon} in the disc.

    It is half the integral of r^2 over angles, with r by bisection along every ray.
    """
    cos, sin, weight = directions()
    across, up = np.array(FOLDED).T[:, :, None] * np.stack([cos, sin])[:, None]  # [4,V]
    low, high = np.full(across.shape, -60.0), np.full(across.shape, math.log(RADIUS))  # log r
    for _ in range(45):
        middle = (low + high) / 2
        inside = loss(np.exp(middle) * across, np.exp(middle) * up) <= threshold
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return float(np.sum(np.exp(2 * high) * weight[None]) / 2)


def volumes(landscape: Landscape) -> np.ndarray:
    """V at the THRESHOLDS [E]."""
    return np.array([volume(landscape.loss, threshold) for threshold in THRESHOLDS])


def slopes(volume_curve: np.ndarray) -> np.ndarray:
    """d log V / d log epsilon [E], which tends to lambda."""
    return np.gradient(np.log(volume_curve), np.log(THRESHOLDS))


def posterior_value(landscape: Landscape) -> float:
    """n beta E[l] of exp(-n beta l - gamma/2 |w|^2), by quadrature over log r and directions."""
    cos, sin, weight = directions()
    furthest = math.log(40 / landscape.localization) / 2 + 0.5
    u = np.linspace(furthest - 25, furthest, 1000)[:, None]
    over = norm = 0.0
    for across, up in FOLDED:
        height = landscape.nbeta * landscape.loss(
            np.exp(u) * across * cos[None], np.exp(u) * up * sin[None]
        )
        mass = np.exp(2 * u - height - landscape.localization / 2 * np.exp(2 * u)) * weight[None]
        over, norm = over + np.sum(mass * height), norm + np.sum(mass)
    return float(over / norm)


def estimate(landscape: Landscape, num_chains=200, num_draws=450, burn_in=150) -> slt.LLCEstimate:
    """SGLD from the origin."""
    sampler = slt.SGLD(
        step_size=landscape.step_size,
        nbeta=landscape.nbeta,
        localization=landscape.localization,
        num_chains=num_chains,
        num_draws=num_draws,
        burn_in=burn_in,
        thinning=landscape.thinning,
    )
    return slt.estimate_llc(
        lambda w, batch: landscape.loss(w[0], w[1]),
        jnp.zeros(2),
        NO_DATA,
        jax.random.key(0),
        sampler,
    )


GAP = 0.002  # by which the quartic minimum is worse
EDGE = 2.0  # the prior is uniform on [-EDGE, EDGE]
TOP = 1 / 3  # the summit between the minima


def two_minima(w):
    """A loss on a line with a quartic minimum of loss GAP at -1, and a quadratic one of 0 at +1.

    The first term is the polynomial of lowest degree that is GAP and flat to third order at -1, and
    0 and flat at +1.
    """
    return GAP * (1 + (w + 1) ** 4 * (2 * w - 3) / 16) + (w + 1) ** 4 * (w - 1) ** 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Basin:
    """A minimum, its basin, and the leading term of its integral, mass n^-lambda e^(-n loss)."""

    at: float
    low: float  # the basin is [low, high]
    high: float
    loss: float
    llc: float
    mass: float


QUARTIC = Basin(
    at=-1.0,
    low=-EDGE,
    high=TOP,
    loss=GAP,
    llc=0.25,
    mass=2 * math.gamma(1.25) / (4 - 5 * GAP / 16) ** 0.25,
)
QUADRATIC = Basin(
    at=1.0, low=TOP, high=EDGE, loss=0.0, llc=0.5, mass=math.sqrt(math.pi / (16 + GAP * 3 / 2))
)


def free_energy(basin: Basin, n: float) -> float:
    """F_n(W) = -log int_W e^(-n l) phi dw with phi = 1/(2 EDGE), by Simpson's rule.

    The grid is finer than any posterior.
    """
    from scipy.integrate import simpson

    w = np.linspace(basin.low, basin.high, 200_001)
    height = -n * two_minima(w)
    return float(-height.max() - math.log(simpson(np.exp(height - height.max()), x=w) / (2 * EDGE)))


def asymptotic_free_energy(basin: Basin, n: float) -> float:
    """n l(w*) + lambda log n (equation 4), and the constant that the paper leaves open."""
    return n * basin.loss + basin.llc * math.log(n) - math.log(basin.mass / (2 * EDGE))


def critical_n(energy=free_energy) -> float:
    """The n at which both basins weigh the same."""
    from scipy.optimize import brentq

    return math.exp(
        brentq(lambda x: energy(QUARTIC, math.exp(x)) - energy(QUADRATIC, math.exp(x)), 5, 12)
    )


def draw_landscapes(curves, estimates):
    """Level sets of the four landscapes of Fig. 2; below, volumes, their slopes, and estimates."""
    figure = style.sheet((11, 6.4))
    rows = figure.subfigures(2, 1, height_ratios=(1, 1.25))
    for ax, landscape in zip(rows[0].subplots(1, 4), LANDSCAPES, strict=False):
        draw_levels(ax, landscape)
    volumes_at, slopes_at = rows[1].subplots(1, 2, width_ratios=(1, 1.35))
    style.dress(volumes_at, "volume V(ε) in the disc", "loss threshold ε")
    style.dress(slopes_at, "slope d log V / d log ε", "loss threshold ε, and 1/nβ of the estimates")
    tick = {"color": style.INK, "marker": "_", "markersize": 22, "linestyle": "none"}
    dot = {"marker": "o", "markersize": 5.5, "linestyle": "none"}
    for landscape, curve, estimated, color in zip(
        LANDSCAPES, curves, estimates, style.CATEGORIES, strict=False
    ):
        name = landscape.formula + (
            f", m = {landscape.multiplicity}" if landscape.multiplicity > 1 else ""
        )
        volumes_at.loglog(THRESHOLDS, curve, color=color, linewidth=1.8)
        slopes_at.axhline(landscape.llc, color=style.QUIET, linewidth=1, linestyle=":")
        slopes_at.semilogx(
            THRESHOLDS[1:-1], slopes(curve)[1:-1], color=color, linewidth=1.8, label=name
        )
        slopes_at.plot(1 / landscape.nbeta, posterior_value(landscape), zorder=3, **tick)
        slopes_at.errorbar(
            1 / landscape.nbeta, estimated.llc, 2 * estimated.sem, color=color, zorder=4, **dot
        )
    slopes_at.set_ylim(0, 1.1)
    slopes_at.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "1/4", "1/2", "3/4", "1"])
    slopes_at.plot([], [], color=style.QUIET, label="SGLD estimate, ± 2 SE", **dot)
    slopes_at.plot([], [], label="exact at its nβ", **{**tick, "markersize": 14})
    slopes_at.legend(
        frameon=False, fontsize=9, labelcolor=style.INK, loc="center left", bbox_to_anchor=(1, 0.5)
    )
    return figure


def draw_levels(ax, landscape: Landscape):
    """Where the loss is below 1, 0.1, ... 1e-5: darker is lower."""
    style.dress(ax, "", "")
    x, y = np.meshgrid(np.linspace(-1, 1.3, 801), np.linspace(-1.15, 1.15, 801))
    levels = [-40, -5, -4, -3, -2, -1, 0]
    colors = style.ramp(len(levels) - 1, ("#12305f", "#4f86cf", "#e3edf9"))
    ax.contourf(x, y, np.log10(landscape.loss(x, y) + 1e-39), levels=levels, colors=colors)
    ax.plot(0, 0, color="white", marker="o", markersize=4)
    ax.set_aspect("equal")
    ax.grid(False)
    ax.set_xticks([-1, 0, 1])
    ax.set_yticks([-1, 0, 1])
    ax.set_title(
        f"{landscape.formula}\nλ = {Fraction(landscape.llc)}", fontsize=10.5, color=style.INK
    )


def draw_crossing():
    """Loss and posterior at three n; the difference of free energies; the mass of each basin."""
    figure = style.sheet((11, 3.5))
    loss_at, energy_at, mass_at = figure.subplots(1, 3)
    draw_posteriors(loss_at)
    counts = np.geomspace(10, 1e4, 61)
    gap, formula = (
        np.array([energy(QUARTIC, n) - energy(QUADRATIC, n) for n in counts])
        for energy in (free_energy, asymptotic_free_energy)
    )
    style.dress(energy_at, "free energy, quartic − quadratic", "number of samples n")
    energy_at.semilogx(counts, gap, color=style.INK, linewidth=2.2, label="exact")
    energy_at.semilogx(
        counts,
        formula,
        color="#8fb8ff",
        linewidth=1.3,
        linestyle="--",
        label="n ΔL − ¼ log n + const",
    )
    energy_at.set_ylim(-2.6, 4.6)
    for y, basin, color in (
        (-1.1, "quartic", style.CATEGORIES[0]),
        (0.5, "quadratic", style.CATEGORIES[1]),
    ):
        energy_at.text(12, y, f"{basin} basin wins", color=color, fontsize=9.5, va="center")
    energy_at.axhline(0, color=style.QUIET, linewidth=1)
    style.dress(mass_at, "posterior mass of the basin", "number of samples n")
    share = 1 / (1 + np.exp(gap))
    mass_at.semilogx(
        counts, share, color=style.CATEGORIES[0], linewidth=2, label=f"quartic: L = {GAP}, λ = 1/4"
    )
    mass_at.semilogx(
        counts, 1 - share, color=style.CATEGORIES[1], linewidth=2, label="quadratic: L = 0, λ = 1/2"
    )
    mass_at.set_ylim(-0.03, 1.3)
    mass_at.set_yticks(np.linspace(0, 1, 5))
    for ax in (energy_at, mass_at):
        ax.axvline(critical_n(), color=style.QUIET, linewidth=1, linestyle=":")
        ax.legend(frameon=False, fontsize=9, labelcolor=style.INK, loc="upper left")
    return figure


def draw_posteriors(ax):
    """The loss, and below it the posterior before, at and after the crossing, equally tall."""
    style.dress(ax, "loss", "w")
    ax.grid(False)
    w = np.linspace(-1.9, 1.6, 4001)
    ax.plot(w, np.where(two_minima(w) < 2.2, two_minima(w), np.nan), color=style.INK, linewidth=1.8)
    ax.axhline(0, color=style.GRID, linewidth=0.8)
    for row, n in enumerate((30, critical_n(), 6000)):
        density, floor = np.exp(-n * two_minima(w)), -1.15 * (row + 1)
        for side, color in ((w < TOP, style.CATEGORIES[0]), (w >= TOP, style.CATEGORIES[1])):
            ax.fill_between(
                w[side],
                floor,
                floor + 0.9 * density[side] / density.max(),
                color=color,
                linewidth=0,
            )
            share = density[side].sum() / density.sum()
            ax.text(w[side][0] + 0.05, floor + 0.55, f"{share:.0%}", fontsize=9, color=color)
        ax.axhline(floor, color=style.QUIET, linewidth=0.8)
        ax.text(-0.25, floor + 0.12, f"n = {n:.0f}", fontsize=9, color=style.INK, ha="center")
    ax.set_yticks([0, 1, 2])
    ax.yaxis.set_label_coords(-0.1, 0.78)


def main():
    folder = Path(__file__).parent
    curves = [volumes(landscape) for landscape in LANDSCAPES]
    estimates = [estimate(landscape) for landscape in LANDSCAPES]
    header = "loss                                lambda  m   slope at 1e-19"
    print(header, "  n beta   exact there   estimate     SE")
    for landscape, curve, estimated in zip(LANDSCAPES, curves, estimates, strict=True):
        print(
            f"{landscape.formula:34s} {landscape.llc:7.2f} {landscape.multiplicity:2d}"
            f" {slopes(curve)[3]:14.4f} {landscape.nbeta:10.0e} {posterior_value(landscape):13.4f}"
            f" {estimated.llc:10.4f} {estimated.sem:6.4f}"
        )
    exact, formula = (critical_n(energy) for energy in (free_energy, asymptotic_free_energy))
    print(f"both basins weigh the same at n = {exact:.1f}; by the formula at {formula:.1f}")
    for name, figure in (
        ("landscapes", draw_landscapes(curves, estimates)),
        ("crossing", draw_crossing()),
    ):
        figure.savefig(folder / f"{name}.png", dpi=130, facecolor="white")


if __name__ == "__main__":
    main()

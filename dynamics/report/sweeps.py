"""The page's section on what an LLC estimate depends on."""

import numpy as np

from dynamics.analysis.sweeps import Sweeps
from dynamics.figures import sweeps as figures
from dynamics.report import words
from dynamics.report.section import Panel, Section


def section(found: list[Sweeps]) -> Section:
    """Panels of every model."""
    return Section(
        name="llc-sweeps",
        title="What does the estimate depend on?",
        question="One thing varied at a time: the size of the data set, the batch and where its loss is taken, the "
        "noise, and whether windows or single predictions are the independent items.",
        panels=[panel for one in found for panel in _panels(one)],
    )


def _panels(found: Sweeps) -> list[Panel]:
    at = f"At steps {words.listed([str(step) for step in found.steps])}"
    bars = "Bars: ± standard error over chains."
    same, fresh = (found.batch_size[name] for name in ("same_batch", "fresh_batch"))
    gap = np.abs(same.llc - fresh.llc) / np.hypot(same.sem, fresh.sem)
    panels = [
        Panel(
            name=f"sweep-data-{found.model}",
            title=f"Size of the data set, {found.model}",
            caption=f"{at}: the last step in size moves the estimate by up to "
            f"{_errors(found.data_size.largest_change())}. {bars}",
            draw=lambda: figures.data_size(found),
        ),
        Panel(
            name=f"sweep-batch-{found.model}",
            title=f"Size of the batch, {found.model}",
            caption=f"{at}: n β is the same at all sizes. The last step in size moves the estimate by up to "
            f"{_errors(same.largest_change())}; loss on a fresh batch differs by up to {_errors(_largest(gap))}. "
            f"{bars}",
            draw=lambda: figures.batch_size(found),
        ),
        Panel(
            name=f"sweep-likelihood-{found.model}",
            title=f"Loss- and likelihood-based estimates, {found.model}",
            caption=f"{_order(found)}. Likelihood-based: an item is one prediction at a position drawn for it, so that "
            "items are independent; 16 are drawn of each window, and a batch has 8 times as many. Bands: ± standard "
            "error over chains.",
            draw=lambda: figures.running(found),
        ),
    ]
    if found.noise:
        panels.append(
            Panel(
                name=f"sweep-noise-{found.model}",
                title=f"Common noise or each its own, {found.model}",
                caption=f"{_roughness(found)}. {bars}",
                draw=lambda: figures.noise(found),
            )
        )
    return panels


def _largest(values: np.ndarray) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else np.nan


def _errors(value: float) -> str:
    return f"{value:.1f} standard errors" if np.isfinite(value) else "an unknown amount"


def _order(found: Sweeps) -> str:
    ends = {kind: traces[:, -1] for kind, traces in found.running.items()}
    alike = np.array_equal(np.argsort(ends["loss"]), np.argsort(ends["likelihood"]))
    pairs = [
        f"{words.number(float(a))} and {words.number(float(b))} at step {step}"
        for step, a, b in zip(found.steps, ends["loss"], ends["likelihood"], strict=True)
    ]
    order = "the same order of checkpoints" if alike else "another order of checkpoints"
    return f"Loss- and likelihood-based estimates: {'; '.join(pairs)}; {order}"


def _roughness(found: Sweeps) -> str:
    """Mean square second difference along the checkpoints: what common noise should lower."""
    rough = {
        name: float(np.sqrt(np.mean(np.diff(curve.value, 2) ** 2)))
        for name, curve in found.noise.items()
    }
    told = " and ".join(f"{words.number(value)} with {name} noise" for name, value in rough.items())
    return f"Roughness of the curve (root mean square second difference along checkpoints): {told}"

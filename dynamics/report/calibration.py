"""The page's section on which sampler settings to take."""

from dynamics.analysis import calibration
from dynamics.analysis.calibration import Calibration
from dynamics.figures import calibration as figures
from dynamics.report import words
from dynamics.report.section import Panel, Section


def section(found: list[Calibration]) -> Section:
    """A picture per model and seed, with its recommendation."""
    return Section(
        name="calibration",
        title="Which sampler settings are healthy?",
        question="The same estimate over a grid of step sizes ε, inverse temperatures n β and localisations γ, at "
        "several checkpoints. A setting is healthy where chains are stable, converge, and stay near the model.",
        panels=[_panel(one) for one in found],
    )


def _panel(found: Calibration) -> Panel:
    chosen = calibration.recommend(found)
    settings = f"ε = {chosen.setting['step_size']:g}, n β = {chosen.setting['nbeta']:g}"
    settings += f", γ = {chosen.setting['localization']:g}"
    draws = (
        f" As flags: {calibration.flags(chosen)}. Chains of {chosen.num_draws} draws would hold "
    )
    draws += f"{calibration.INDEPENDENT} independent ones each."
    verb = (
        "Recommended (framed)"
        if chosen.healthy
        else "No setting is recommended; the least bad (framed) is"
    )
    return Panel(
        name=f"calibration-{found.model}-{found.seed}",
        title=f"Sampler settings, {found.model}, seed {found.seed}",
        caption=f"{verb} {settings}: {chosen.reason}.{draws if chosen.num_draws and chosen.healthy else ''} "
        "Numbers are estimates ± standard error over chains; a grey word names what failed. Right of the dashed line "
        f"ε (n β h + γ) > 4, where SGLD's chains diverge, h = {_ends(found)} being the largest Hessian eigenvalue.",
        draw=lambda: figures.grid(found, chosen),
    )


def _ends(found: Calibration) -> str:
    texts = [words.number(float(value)) for value in found.top_eigenvalue]
    return f"{words.listed(texts)} at steps {words.listed([str(step) for step in found.steps])}"

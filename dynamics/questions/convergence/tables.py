"""The tables of convergence: the numbers behind its figures, and those that no figure shows."""

from collections.abc import Sequence

import numpy as np

from dynamics.analysis.coincidence import Coincidence
from dynamics.analysis.curve import Curve
from dynamics.analysis.leave_one_out import FEWEST
from dynamics.analysis.phases import Estimate
from dynamics.questions.convergence.findings import QUANTILES, TARGETS, Convergence, Findings
from dynamics.questions.convergence.phases import Phases
from dynamics.questions.convergence.record_ngram import Record as Ngrams
from dynamics.report.section import Table

SEED_KL = "KL between seeds (nats per token)"


def at_a_glance(models: Sequence[Convergence]) -> Table:
    """A row for each model: where its divergence starts, turns and ends."""
    rows = []
    for model in models:
        seeds = model.divergence
        kl, lowest = seeds.seed_kl, seeds.turns.lowest
        rows.append(
            {
                "model": model.model,
                "seeds": len(seeds.seeds),
                "documents": len(seeds.tokens),
                "predictions": int(seeds.tokens.sum()),
                "parameters": model.size or np.nan,
                "KL at start (nats)": float(kl.value[0]),
                "KL minimum (nats)": float(kl.value[lowest]),
                "at step": int(kl.steps[lowest]),
                "final KL (nats)": float(kl.value[-1]),
                "final loss (nats per token)": float(seeds.surprisal.value[-1]),
                "final largest |logit|": float(seeds.max_logit[-1]),
            }
        )
    return Table.of_rows(rows)


_BEYOND = Estimate(np.nan, np.nan, np.nan)  # a boundary beyond the steps measured


def phases(models: Sequence[Convergence]) -> Table:
    """A row for each phase of each model; a boundary beyond the steps measured is empty."""
    fits = [(model.model, model.phases) for model in models if model.phases is not None]
    rows = []
    for model, phases in fits:
        for phase in phases.phases:
            begin = phase.begin or _BEYOND
            start = begin.value if phase.begin else phases.pieces.steps[0]
            rows.append(
                {
                    "model": model,
                    "phase": phase.name,
                    "begins at step": begin.value,
                    "begin, low": begin.low,
                    "begin, high": begin.high,
                    "fitted KL there (nats)": float(phases.pieces.at(start)),
                    "slope (nats per e-fold of step + 1)": phase.slope.value,
                    "slope, low": phase.slope.low,
                    "slope, high": phase.slope.high,
                }
            )
    return Table.of_rows(rows)


def fitted(curve: Curve, phases: Phases) -> Table:
    """A row for each corner of the fitted pieces: the KL measured there, and the phase begun."""
    rows = []
    for step in phases.corners.tolist():
        value, low, high = _value_at(curve, step)
        begins = [p for p in phases.boundaries if p.begin and np.isclose(p.begin.value, step)]
        phase = begins[0] if begins else None
        begin = phase.begin if phase and phase.begin else _BEYOND
        rows.append(
            {
                "model": curve.model,
                "step": step,
                SEED_KL: value,
                "low": low,
                "high": high,
                "fitted KL (nats per token)": float(phases.pieces.at(step)),
                "phase that begins": phase.name if phase else "",
                "begin, low": begin.low,
                "begin, high": begin.high,
            }
        )
    return Table.of_rows(rows)


def absent_phases(models: Sequence[Convergence]) -> Table:
    """Those of the four phases that a model does not show, and why."""
    return Table.of_rows(
        [
            {"model": model.model, "phase": name, "why it is not seen": reason}
            for model in models
            if model.phases
            for name, reason in model.phases.absent.items()
        ]
    )


def events(models: Sequence[Convergence]) -> Table:
    """A row for each boundary and what is said to coincide with it, or why that cannot be said."""
    nothing = Coincidence(_BEYOND, np.nan, np.nan, np.nan)
    rows = []
    for model in models:
        for events in model.events:
            both = events.together or nothing
            rows.append(
                {
                    "model": model.model,
                    "boundary": events.phase,
                    "other event": events.other,
                    "at step": both.step,
                    "later by (e-folds of step + 1)": both.gap.value,
                    "low": both.gap.low,
                    "high": both.gap.high,
                    "checkpoints apart (e-folds)": both.spacing,
                    "probability of no farther apart": both.probability,
                    "why there is none": events.reason,
                }
            )
    return Table.of_rows(rows)


def intervals(models: Sequence[Convergence]) -> Table:
    """The three intervals of each model's last step, or why there is none."""
    rows = []
    for model in models:
        curve, last = model.divergence.seed_kl, model.intervals.last
        for target in TARGETS:
            has = target in last
            rows.append(
                {
                    "model": model.model,
                    "step": int(curve.steps[-1]),
                    "holds for": target,
                    SEED_KL: last[target].mean if has else float(curve.value[-1]),
                    "low": last[target].low if has else np.nan,
                    "high": last[target].high if has else np.nan,
                    "why there is none": model.intervals.refusals.get(target, ""),
                }
            )
    return Table.of_rows(rows)


def widths(model: Convergence) -> Table:
    """Half the width of each interval at every step, % of the KL."""
    shares = model.intervals.shares
    columns = {f"{target} (% of the KL)": share.tolist() for target, share in shares.items()}
    return Table(columns={"step": model.divergence.steps.tolist(), **columns})


def late_slopes(models: Sequence[Convergence]) -> Table:
    """The slope of each model's last phase."""
    return Table.of_rows(
        [
            {
                "model": model.model,
                "parameters": model.size or np.nan,
                "phase": model.last_slope.phase,
                "from step": model.last_slope.first_step,
                "slope (nats per e-fold of step + 1)": model.last_slope.interval.mean,
                "low": model.last_slope.interval.low,
                "high": model.last_slope.interval.high,
                "rests on": model.last_slope.interval.rests_on,
            }
            for model in models
            if model.last_slope
        ]
    )


def losses(curves: Sequence[Curve], ngrams: Ngrams | None) -> Table:
    """The loss of every model, with the yardsticks that it is drawn against."""
    table = Table.of_curves(curves, "cross-entropy (nats per token)")
    if ngrams is None:
        return table
    levels = zip(ngrams.orders, ngrams.cross_entropy.tolist(), strict=True)
    names = {f"Kneser–Ney n = {order} (nats per token)": loss for order, loss in levels}
    rows = len(table.rows)
    return table.beside(Table(columns={name: [loss] * rows for name, loss in names.items()}))


def over_training(findings: Findings) -> Table:
    """A row for each model and step; a quantity that was not measured there is empty."""
    scores = {benefit.model: benefit.score for benefit in findings.contexts}
    rows = []
    for model in findings.models:
        seeds = model.divergence
        curves = {
            "KL between seeds (nats)": seeds.seed_kl,
            "KL to uniform (nats)": seeds.kl_uniform,
            "KL to unigram (nats)": seeds.kl_unigram,
            "ICL score (nats)": scores.get(model.model),
            "cross-entropy (nats per token)": seeds.surprisal,
            "learning rate": model.learning_rate,
        }
        for step in seeds.steps.tolist():
            row: dict[str, object] = {"model": model.model, "step": step}
            for name, curve in curves.items():
                value, low, high = _value_at(curve, step)
                quantity = name.partition(" (")[0]
                row |= {name: value, f"low, {quantity}": low, f"high, {quantity}": high}
            rows.append(row)
    return Table.of_rows(rows)


def _value_at(curve: Curve | None, step: float) -> tuple[float, float, float]:
    """The value at a step with the ends of its bar; NaN where nothing was measured there."""
    measured = None if curve is None else curve.where(curve.steps == step)
    if measured is None or not len(measured.steps):
        return np.nan, np.nan, np.nan
    return float(measured.value[0]), float(measured.low[0]), float(measured.high[0])


def ngrams(ngrams: Ngrams) -> Table:
    """The yardstick, by order."""
    return Table(
        columns={
            "n": list(ngrams.orders),
            "cross-entropy (nats per token)": ngrams.cross_entropy.tolist(),
            "standard error over documents": ngrams.sem.tolist(),
        }
    )


def contexts(models: Sequence[Convergence]) -> Table:
    """Mean over single predictions and a standard deviation to either side, by model and step."""
    return Table.of_rows(
        [
            {
                "model": model.model,
                "step": int(step),
                "mean (nats)": mean,
                "SD (nats)": sd,
                "low, cut at 0 (nats)": max(mean - sd, 0.0),
                "high (nats)": mean + sd,
            }
            for model in models
            for step, mean, sd in zip(
                model.divergence.steps,
                model.spread.mean.tolist(),
                model.spread.sd.tolist(),
                strict=True,
            )
        ]
    )


def token_spread(model: Convergence) -> Table:
    """Quantiles over single predictions, by step."""
    quantiles = zip(QUANTILES, model.spread.quantiles.T.tolist(), strict=True)
    columns = {f"{100 * level:g} % of tokens below (nats)": values for level, values in quantiles}
    return Table(columns={"step": model.divergence.steps.tolist(), **columns})


def single_seeds(models: Sequence[Convergence]) -> Table:
    """A row for each seed at the last step: the mean without it, and how far it is from others."""
    rows = []
    for model in models:
        seeds = model.divergence
        mean, enough = float(seeds.seed_kl.value[-1]), len(seeds.seeds) >= FEWEST
        effects = zip(seeds.seeds, model.seed_effects, model.outlier_steps, strict=True)
        for seed, effect, outlier_steps in effects:
            apart = ("yes" if effect.outlier else "no") if enough else f"needs {FEWEST} seeds"
            of_steps = f"{outlier_steps} of {len(seeds.steps)}"
            rows.append(
                {
                    "model": model.model,
                    "seed": seed,
                    "KL without it (nats)": effect.without,
                    "change (%)": 100 * (effect.without / mean - 1),
                    "KL to the others (nats)": effect.to_others,
                    "over the others’ median": effect.ratio,
                    "lies apart (no coverage promised)": apart,
                    "steps at which it does": of_steps if enough else "",
                }
            )
    return Table.of_rows(rows)

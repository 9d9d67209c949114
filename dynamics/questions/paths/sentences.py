"""What the paths of single weights show, in sentences."""

from collections.abc import Iterator

import numpy as np

from dynamics.questions.headline import headline
from dynamics.questions.paths.findings import Movement, Paths
from dynamics.report import grades, words
from dynamics.report.section import Finding


def findings(paths: Paths) -> list[Finding]:
    """On all models, and then of each one."""
    moved = [_moved_finding(movement) for movement in paths.models]
    last = {m.model: float(m.exponent.finite().value[-1]) for m in paths.models if _has_end(m)}
    sentence = (
        "Squared displacement from the start grows with an exponent, at the last checkpoint that "
        f"has one, of {words.by_model(last)}; 1 is diffusion, 2 drift."
    )
    own = [
        finding
        for movement, finding in zip(paths.models, moved, strict=True)
        for finding in (finding, *_other_findings(movement))
    ]
    return [*(headline(sentence, moved) if len(last) == len(moved) else []), *own]


def _has_end(movement: Movement) -> bool:
    return bool(np.isfinite(movement.exponent.value).any())


def _other_findings(movement: Movement) -> Iterator[Finding]:
    yield _fork_finding(movement)
    yield _stop_finding(movement)
    yield from _together_finding(movement)


def _moved_finding(movement: Movement) -> Finding:
    """How the weights move at the end: sure where its error sets it apart from diffusion."""
    name = _spoken(movement)
    rests_on = f"{_seeds(movement)}; {_errors(movement)}"
    if not _has_end(movement):
        sentence = f"How {name} moves cannot be said: too few checkpoints differ."
        return Finding(sentence=sentence, rests_on=rests_on, grade="open")
    curve = movement.exponent.finite()
    exponent, sem = float(curve.value[-1]), float(curve.sem[-1])
    manner = "more slowly than by diffusion" if exponent < 1 else "faster than by diffusion"
    error = f" ± {words.number(sem)}" if np.isfinite(sem) else ""
    return Finding(
        sentence=f"T{name[1:]} {_distance(movement)}moves {manner} at step {curve.steps[-1]} "
        f"(exponent {words.number(exponent)}{error}).",
        rests_on=rests_on,
        grade=grades.judge(exponent - 1, sem),
    )


def _distance(movement: Movement) -> str:
    """How far it has come; "" for weights that were all equal at the start."""
    distance = movement.moved.finite()
    if not len(distance.steps):
        return ""
    far = words.number(float(distance.value[-1]))
    return f"ends {far} initial SDs from where it was at step {distance.steps[0]}, and "


def _fork_finding(movement: Movement) -> Finding:
    steps = [run.record.fork.step[movement.main] for run in movement.runs]
    forked = [int(step) for step in steps if np.isfinite(step)]
    name, many = _spoken(movement), len(steps)
    if forked:
        places = f"step {min(forked)}" + (f" to {max(forked)}" if len(set(forked)) > 1 else "")
        sentence = (
            f"The density of {name} has two modes from {places} on, in {len(forked)} of "
            f"{words.counted(many, 'seed')}."
        )
    else:
        sentence = f"No second mode in the density of {name} at any checkpoint: no fork yet."
    return Finding(
        sentence=sentence,
        rests_on=f"{_seeds(movement)}; columns of the matrix taken as independent",
        grade="sure" if len(forked) == many else "unsure",
    )


def _stop_finding(movement: Movement) -> Finding:
    stops = [(run.stops[movement.main], run.costs[movement.main]) for run in movement.runs]
    raised = [(stop, cost) for stop, cost in stops if stop.step is not None and cost is not None]
    name = f"a rule that watches {_spoken(movement)}"
    if not raised:
        sentence = f"No alarm of {name}: it would not have stopped by the last checkpoint."
        return Finding(sentence=sentence, rests_on=_seeds(movement), grade="open")
    stop, cost = raised[0]
    saved = f"{100 * cost.share_saved:.0f}\u00a0% of the steps"
    measured = np.isfinite(cost.loss)
    price = (
        f"{words.number(cost.loss)} ± {words.number(cost.loss_sem)} nats per token"
        if measured
        else "a loss that was not measured"
    )
    return Finding(
        sentence=f"An alarm of {name} would have stopped at step {stop.step}, saving {saved} for "
        f"{price}.",
        rests_on=f"the first seed that has one, {len(raised)} of {_seeds(movement)} have; errors "
        "over documents",
        grade=grades.judge(cost.loss, cost.loss_sem) if measured else "open",
    )


def _together_finding(movement: Movement) -> Iterator[Finding]:
    """Which series of the first seed may change at one and the same place."""
    run = movement.runs[0]
    if not run.together:
        return
    same = [pair for pair in run.together if pair.coincidence.compatible]
    best = max(run.together, key=lambda pair: pair.coincidence.within_one)
    chance = f"{best.coincidence.within_one:.2f}"
    yield Finding(
        sentence=f"Of {words.counted(len(run.together), 'pair')} of series of {movement.model} "
        f"that change, {len(same)} may do so at one step; nearest are {best.first} and "
        f"{best.second}, within one checkpoint with probability {chance}.",
        rests_on="one seed; intervals of single series, taken as independent",
        grade="sure" if not same else "unsure",
    )


def _spoken(movement: Movement) -> str:
    """The main tensor in a sentence."""
    tensor = movement.tensor.removesuffix(", centred")
    centred = "centred " if tensor != movement.tensor else ""
    return f"the {centred}{tensor} of {movement.model}"


def _seeds(movement: Movement) -> str:
    return words.counted(len(movement.runs), "seed")


def _errors(movement: Movement) -> str:
    return movement.exponent.rests_on or "no error is known"

"""What the densities say in sentences, each with what it rests on and how far it can be trusted."""

from collections.abc import Callable, Sequence

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.means import mean_over_seeds
from dynamics.analysis.significance import is_sure
from dynamics.questions.headline import headline
from dynamics.questions.weights.findings import Distribution, Spread, quantity
from dynamics.report import grades, words
from dynamics.report.section import Finding, Grade

# The raw density moved farther than the centred one by more than this share of it: a gauge.
NOTABLE = 0.1


def findings(models: Sequence[Spread]) -> list[Finding]:
    """On all models first; then of each its modes, its gauge, its widths and its tails."""
    widths = [_width(spread) for spread in models]
    change: dict[str, list[str]] = {}
    for spread in models:
        change.setdefault(_by_change(spread)[0], []).append(spread.model)
    leaders = [f"{kind} in {words.listed(names)}" for kind, names in change.items()]
    sentence = f"The tensor whose width changes most is {words.listed(leaders)}."
    own = [
        finding
        for spread, width in zip(models, widths, strict=True)
        for finding in (_modes(spread), _gauge(spread), width, _tail(spread))
        if finding is not None
    ]
    return [*headline(sentence, widths), *own]


def _modes(spread: Spread) -> Finding | None:
    """Whether the raw unembedding has two modes about zero at the last step."""
    raw = spread.of_role("unembedding")
    if raw is None or raw.depth is None or raw.half_distance is None:
        return None
    depth, half_distance = raw.depth, raw.half_distance
    name, step = f"{spread.model}: the raw unembedding ({raw.name})", spread.steps[-1]
    last = float(depth.value[-1])
    if not np.isfinite(last):
        return None
    if last > 0 and is_sure(last, float(depth.sem[-1])):
        mu = words.number(float(half_distance.value[-1]))
        said = f"has two modes at step {step}, at ±{mu} about zero, with a valley of "
        said += f"{words.number(last)} of the lower peak between them."
        grade: Grade = "sure"
    else:
        said = f"has one mode at step {step}, not two about zero."
        grade = "unsure" if last > 0 else "sure"
    return Finding(sentence=f"{name} {said}", rests_on=_seeds(spread), grade=grade)


def _gauge(spread: Spread) -> Finding | None:
    """Said where the raw unembedding's density moves farther than the centred one's."""
    raw, centred = (spread.of_role(role) for role in ("unembedding", "centred unembedding"))
    gauge = spread.gauge
    if raw is None or centred is None or gauge is None:
        return None
    mean, sem = mean_over_seeds(gauge.raw_moved - gauge.centred_moved)
    if not mean > NOTABLE * gauge.raw_moved.mean():
        return None
    far, near = (words.number(float(d.moved.value[-1])) for d in (raw, centred))
    tied = "; but the embedding is the same matrix, and is moved with it" if spread.tied else ""
    share = words.number(100 * float(gauge.share.value[-1]))
    return Finding(
        sentence=f"{spread.model}: the raw unembedding's density moves by {far} to the last step, "
        f"the centred one's by {near}: the difference is a gauge. A vector that all tokens share, "
        f"at the end {share} % of the mean square, moves every logit alike and no softmax{tied}.",
        rests_on=_seeds(spread),
        grade=grades.judge(mean, sem),
    )


def _width(spread: Spread) -> Finding:
    """The tensor that changed its width most, as a ratio either way; sure where the next lags."""
    by_change = _by_change(spread)
    ratio = words.number(float(spread.kinds[by_change[0]].width.value[-1]))
    return Finding(
        sentence=f"{spread.model}: {by_change[0]} ends at {ratio} times its first width"
        f"{', more change than any other tensor' if len(by_change) > 1 else ''}.",
        rests_on=_seeds(spread),
        grade=_ahead([_log_change(spread.kinds[name].width) for name in by_change[:2]]),
    )


def _tail(spread: Spread) -> Finding:
    """The tensor with the heaviest tails at the last step; sure where the next has lighter ones."""
    by_tail = _sorted(spread, "excess_kurtosis", lambda curve: _last(curve)[0])
    tail = words.number(_last(spread.kinds[by_tail[0]].excess_kurtosis)[0])
    others = "has the heaviest tails" if len(by_tail) > 1 else "has tails of a normal or others"
    return Finding(
        sentence=f"{spread.model}: {by_tail[0]} {others} (excess kurtosis {tail}) at "
        f"step {spread.steps[-1]}.",
        rests_on=_seeds(spread),
        grade=_ahead([_last(spread.kinds[name].excess_kurtosis) for name in by_tail[:2]]),
    )


Estimate = tuple[float, float]  # a value and its standard error


def _ahead(leaders: Sequence[Estimate]) -> Grade:
    """Whether the first of two estimates is surely larger; "open" for one alone."""
    if len(leaders) < 2:
        return "open"
    (first, first_sem), (second, second_sem) = leaders
    return grades.judge(first - second, np.hypot(first_sem, second_sem))


def _last(curve: Curve) -> Estimate:
    return float(curve.value[-1]), float(curve.sem[-1])


def _log_change(curve: Curve) -> Estimate:
    """|ln| of the last width over the first, and its error."""
    ratio = max(float(curve.value[-1]), 1e-300)
    return abs(float(np.log(ratio))), float(curve.sem[-1]) / ratio


def _by_change(spread: Spread) -> list[str]:
    """Kinds of tensor by how much their width changed, most first."""
    return _sorted(spread, "width", lambda curve: _log_change(curve)[0])


def _sorted(spread: Spread, name: str, size: Callable[[Curve], float]) -> list[str]:
    """Kinds by a number, the largest first; the raw unembedding is no rival of the centred one."""
    kinds: dict[str, Distribution] = spread.kinds
    if spread.of_role("centred unembedding") is not None:
        kinds = {k: d for k, d in kinds.items() if d.role != "unembedding"}
    sizes = {kind: size(curve) for kind, curve in quantity(kinds, name).items()}
    return sorted(sizes, key=lambda kind: -np.nan_to_num(sizes[kind], nan=-np.inf))


def _seeds(spread: Spread) -> str:
    count = len(spread.seeds)
    return f"all weights of {count} seeds" if count > 1 else "all weights of one seed"

"""What convergence depends on: one linear regression per step over every prediction of every model.

Equation 6 of "Convergence and Divergence of Language Models under Different Random Seeds" (appendix
D):

    conv = c + alpha ln freq(s_t) + beta[tag of s_t] + gamma[tag of s_{t-1}] + delta[model size]

with conv = -KL in nats. As printed, without c, it is not identified: the indicators of each group
sum to one. Here each group has a reference level whose coefficient is zero: the most frequent tag,
the smallest model. Without tags the groups are content word, function word, no word. Errors are
clustered by document (Liang & Zeger 1986) with the correction G / (G - 1) * (n - 1) / (n - C) and
Student's t on G - 1: predictions of one text depend on each other, and so do those of two models of
one token.

Axes: K steps, N predictions of one model, M models, n = M N, C columns, G documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.contexts import Contexts, Text, last_context, predicted
from dynamics.errors import InputError

WORD_CLASSES = ("content word", "function word", "no word")
LEVEL = 0.95
_DEPENDENT = 1e-8  # relative length of what earlier columns leave of one that they span


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """Coefficients, their clustered standard errors and confidence limits, [C] each."""

    value: np.ndarray
    sem: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class Design:
    """Columns whose coefficients can be told apart."""

    matrix: np.ndarray  # [n, C], the intercept first
    names: tuple[str, ...]  # [C]
    references: dict[str, str]  # group -> the level that has no column
    dropped: tuple[str, ...]  # columns that earlier ones span, empty ones among them


@dataclass(frozen=True, eq=False, kw_only=True)
class Regression:
    """One fit per step."""

    steps: np.ndarray  # [K], those at which every model was measured
    names: tuple[str, ...]  # [C]
    fits: tuple[Fit, ...]  # [K]
    references: dict[str, str]
    dropped: tuple[str, ...]
    models: tuple[str, ...]
    tokens: int  # predictions of one model
    left_out: int  # predictions whose token was never counted: ln 0
    documents: int

    def coefficient(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(value, low, high) [K] of a column. Raises InputError on an unknown one."""
        if name not in self.names:
            raise InputError.unknown("coefficient", name, self.names)
        at = self.names.index(name)
        value, low, high = (
            np.array([getattr(fit, field)[at] for fit in self.fits])
            for field in ("value", "low", "high")
        )
        return value, low, high


def regression(found: Sequence[Contexts], known: Text) -> Regression:
    """Equation 6 at every step that all models share.

    Raises InputError on no model, no common step, or fewer than two documents.
    """
    if not found:
        raise InputError("no model", expected="one or more")
    common = sorted(set.intersection(*(set(one.steps.tolist()) for one in found)))
    if not common:
        raise InputError(
            "models without a common step", expected="one step at which all were measured"
        )
    kept = predicted(known.count) > 0
    owners = np.tile(known.owners[kept], len(found))
    matrix = design(known, [one.model for one in found], kept)
    fits = []
    for step in common:
        conv = np.concatenate([-one.kl[one.steps.tolist().index(step)][kept] for one in found])
        fits.append(fit(matrix.matrix, conv, owners))
    return Regression(
        steps=np.array(common),
        names=matrix.names,
        fits=tuple(fits),
        references=matrix.references,
        dropped=matrix.dropped,
        models=tuple(one.model for one in found),
        tokens=int(kept.sum()),
        left_out=int((~kept).sum()),
        documents=len(np.unique(owners)),
    )


def design(known: Text, models: Sequence[str], kept: np.ndarray) -> Design:
    """Columns of equation 6 for the predictions in `kept` [N] bool of every model, models one after
    the other."""
    levels, of = _tags(known)
    groups = [
        ("predicted token", levels, predicted(of)[kept]),
        ("last context token", levels, last_context(of)[kept]),
    ]
    references, names, columns = {}, ["intercept", "ln frequency"], [np.ones(kept.sum())]
    columns.append(np.log(predicted(known.count)[kept]))
    for group, own, which in groups:
        reference = int(np.bincount(which, minlength=len(own)).argmax())
        references[group] = own[reference]
        others = [k for k in range(len(own)) if k != reference]
        names += [f"{group}: {own[k]}" for k in others]
        columns += [(which == k).astype(np.float64) for k in others]
    per_model = np.stack(columns, axis=1)
    sizes = np.repeat(np.eye(len(models))[:, 1:], len(per_model), axis=0)
    references["model"] = models[0]
    names += [f"model: {model}" for model in models[1:]]
    return identified(np.hstack([np.tile(per_model, (len(models), 1)), sizes]), names, references)


def identified(matrix: np.ndarray, names: Sequence[str], references: dict[str, str]) -> Design:
    """Drops every column that lies in the span of those before it (a column of zeros does), by
    Gram-Schmidt."""
    kept: list[int] = []
    basis = np.empty(matrix.shape, order="F")
    for k, column in enumerate(matrix.T):
        rest = column
        for _ in range(2):  # once more, since one pass leaves what rounding put back
            found = basis[:, : len(kept)]
            rest = rest - found @ (found.T @ rest)
        length = np.linalg.norm(rest)
        if length > _DEPENDENT * np.linalg.norm(column):
            basis[:, len(kept)] = rest / length
            kept.append(k)
    return Design(
        matrix=matrix[:, kept],
        names=tuple(names[k] for k in kept),
        references=references,
        dropped=tuple(name for k, name in enumerate(names) if k not in kept),
    )


def fit(matrix: np.ndarray, y: np.ndarray, clusters: np.ndarray, level: float = LEVEL) -> Fit:
    """Least squares with errors clustered. [n, C], [n], [n]. Raises InputError on fewer than two
    clusters."""
    from statsmodels.regression.linear_model import OLS

    _, group = np.unique(clusters, return_inverse=True)
    if group.max() < 1:
        raise InputError("one document", expected="two or more, for errors between documents")
    if len(y) <= matrix.shape[1]:
        raise InputError(
            f"{len(y)} predictions and {matrix.shape[1]} coefficients", expected="more predictions"
        )
    clustered = {"cov_type": "cluster", "cov_kwds": {"groups": group}, "use_t": True}
    found = OLS(np.asarray(y, np.float64), matrix).fit(method="qr", **clustered)
    low, high = found.conf_int(1 - level).T
    return Fit(value=found.params, sem=found.bse, low=low, high=high)


def _tags(known: Text) -> tuple[tuple[str, ...], np.ndarray]:
    """Levels, and the level of every token [W, T]: of a tagger's tags where it has more to say than
    word classes."""
    if known.tagger == "closed":
        return WORD_CLASSES, np.where(known.word_class < 0, 2, known.word_class)
    return (*known.tag_names, "no tag"), np.where(known.tag < 0, len(known.tag_names), known.tag)

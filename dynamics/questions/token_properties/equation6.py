"""What convergence depends on: one linear regression per step over every prediction.

Equation 6 of "Convergence and Divergence of Language Models under Different Random Seeds" (appendix
D):

    conv = c + alpha ln freq(s_t) + beta[tag of s_t] + gamma[tag of s_{t-1}] + delta[model size]

with conv = -KL in nats. As printed, without c, it is not identified: the indicators of each group
sum to one. Here each group has a reference level whose coefficient is zero: the most frequent tag,
the smallest model. Tokens without a tag are left out, predicted or last of their context, as
appendix A has it. Without a tagger the groups are content word, function word, no word. Errors are
clustered by document, since predictions of one text depend on each other, and so do those of two
models of one token.

Axes: K steps, W windows, T tokens of a window, N predictions of one model, M models, n = M N, C
columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.analysis.curve import Curve
from dynamics.analysis.regression import Design, Fit, fit, identified
from dynamics.errors import InputError
from dynamics.questions.token_properties.contexts import Contexts, Text, last_context, predicted

WORD_CLASSES = ("content word", "function word", "no word")
FREQUENCY = "ln frequency"


@dataclass(frozen=True, eq=False, kw_only=True)
class Regression:
    """One fit per step.

    Attributes:
        steps: [K] those at which every model was measured.
        names: [C] of the coefficients.
        fits: [K].
        references: group -> the level that has no column.
        dropped: columns that others span.
        models: [M].
        tokens: predictions of one model.
        left_out: predictions whose token was never counted: ln 0.
        untagged: further ones left out, since that token or the one before it has no tag.
        documents: how many the errors rest on.
    """

    steps: np.ndarray
    names: tuple[str, ...]
    fits: tuple[Fit, ...]
    references: dict[str, str]
    dropped: tuple[str, ...]
    models: tuple[str, ...]
    tokens: int
    left_out: int
    untagged: int
    documents: int

    def coefficient(self, name: str) -> Curve:
        """A coefficient over steps with its 95 % limits. Raises InputError on an unknown one."""
        at = self._place(name)
        return Curve.with_limits(
            name,
            self.steps,
            [step.value[at] for step in self.fits],
            [step.low[at] for step in self.fits],
            [step.high[at] for step in self.fits],
            f"95 % limits over {self.documents} documents",
        )

    def too_few(self, name: str) -> bool:
        """Whether at any step a coefficient's limits rest on too few documents (`Fit.too_few`)."""
        return any(bool(step.too_few[self._place(name)]) for step in self.fits)

    def _place(self, name: str) -> int:
        if name not in self.names:
            raise InputError.unknown("coefficient", name, self.names)
        return self.names.index(name)


def regression(models: Sequence[Contexts], text: Text) -> Regression:
    """Equation 6 at every step that all models share.

    Raises InputError on no model, no common step, or fewer than two documents.
    """
    if not models:
        raise InputError("no model", expected="one or more")
    common = sorted(set.intersection(*(set(model.steps.tolist()) for model in models)))
    if not common:
        raise InputError(
            "models without a common step", expected="one step at which all were measured"
        )
    in_corpus = predicted(text.count) > 0
    counted = in_corpus & _tagged(text)
    if not counted.any():
        raise InputError("no token that was counted and has a tag", expected="one or more")
    owners = np.tile(text.owners[counted], len(models))
    columns, references = design(text, [model.model for model in models], counted)
    fits = []
    for step in common:
        of_models = [model.kl[model.steps.tolist().index(step)][counted] for model in models]
        fits.append(fit(columns.matrix, -np.concatenate(of_models), owners))
    return Regression(
        steps=np.array(common),
        names=columns.names,
        fits=tuple(fits),
        references=references,
        dropped=columns.dropped,
        models=tuple(model.model for model in models),
        tokens=int(counted.sum()),
        left_out=int((~in_corpus).sum()),
        untagged=int((in_corpus & ~counted).sum()),
        documents=len(np.unique(owners)),
    )


def design(text: Text, models: Sequence[str], counted: np.ndarray) -> tuple[Design, dict[str, str]]:
    """Columns of equation 6 and the reference level of each group.

    Rows are the predictions in `counted` [N] bool of every model, models one after the other.
    """
    levels, level_of = _levels(text)
    groups = {
        "predicted token": predicted(level_of)[counted],
        "last context token": last_context(level_of)[counted],
    }
    references, names = {}, ["intercept", FREQUENCY]
    columns = [np.ones(counted.sum()), np.log(predicted(text.count)[counted])]
    for group, level in groups.items():
        reference = int(np.bincount(level, minlength=len(levels)).argmax())
        references[group] = levels[reference]
        others = [k for k in range(len(levels)) if k != reference]
        names += [f"{group}: {levels[k]}" for k in others]
        columns += [(level == k).astype(np.float64) for k in others]
    per_model = np.stack(columns, axis=1)
    sizes = np.repeat(np.eye(len(models))[:, 1:], len(per_model), axis=0)
    references["model"] = models[0]
    names += [f"model: {model}" for model in models[1:]]
    return identified(np.hstack([np.tile(per_model, (len(models), 1)), sizes]), names), references


def _tagged(text: Text) -> np.ndarray:
    """[N] whether both tokens of a prediction have a tag; a list of words leaves none out."""
    if text.tagger == "closed":
        return np.ones(text.owners.shape, bool)
    return (predicted(text.tag) >= 0) & (last_context(text.tag) >= 0)


def _levels(text: Text) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of levels, and the level of every token [W,T].

    Of a tagger's tags where it says more than word classes do.
    """
    if text.tagger == "closed":
        return WORD_CLASSES, np.where(text.word_class < 0, 2, text.word_class)
    return text.tag_names, text.tag

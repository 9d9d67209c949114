"""The site of a folder of results: what each question finds, as chapters of one report.

It needs the results and nothing else: neither the suite's checkpoints nor JAX.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from dynamics.errors import InputError
from dynamics.figures import style, tokens_axis
from dynamics.questions import ALL, Launch, Question
from dynamics.questions.committed import Committed, Pairs, natural
from dynamics.report import provenance, site
from dynamics.report.contents import Chapter, Contents, Model
from dynamics.report.section import Section
from dynamics.results import Store

__all__ = ["contents", "faults", "unread", "write"]

# What was found of each question, None where there are no results, or why it could not be read.
Answers = Mapping[str, Any | InputError | None]


def write(
    store: Store,
    suite: str,
    target: Path,
    questions: Sequence[Question] = ALL,
    launch: Launch | None = None,
) -> Path:
    """Writes the site of all that a store holds.

    Args:
        store: the folder of results.
        suite: name of the suite, as the site calls it.
        target: path of the overview; everything else lies in the folder beside it of that name.
        questions: what is asked, in the order of the site.
        launch: how scripts were called, for the commands of what is not measured; by default with
            --suite=SUITE and nothing else.

    Returns:
        `target`.

    Raises:
        InputError: the store is empty, or `target` cannot be written. After the site is written:
            a result was unreadable, of another form or of weights that changed since; the
            site names it, and has the pages of all questions that do not need it.

    Example:
        >>> import numpy as np
        >>> from dynamics.questions.convergence import record_ngram
        >>> from dynamics.results import Unit
        >>> loss = record_ngram.Record(
        ...     orders=(1, 2), cross_entropy=np.array([5.0, 2.6]), sem=np.array([0.1, 0.1])
        ... )
        >>> store = Store("results/toy")
        >>> unit = Unit.of_suite(record_ngram.MEASURE)
        >>> store.write(unit, record_ngram.to_dataset(loss), {}, {"weights": [], "corpus": {}})
        >>> write(store, "toy", Path("report.html")).exists()
        True
    """
    committed = Committed(store)
    site.write(contents(committed, suite, questions, str(store.root), launch), target)
    if errors := faults(committed, questions):
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        first = errors[0]
        raise InputError(
            first.got,
            expected=first.expected,
            mend=f"{first.mend} {target} is written without it{more}.".strip(),
        )
    return target


def faults(committed: Committed, questions: Sequence[Question] = ALL) -> list[InputError]:
    """What is wrong with the results that questions read, each fault once."""
    answers, results = _answers(committed, questions), _results(committed, questions)
    errors = [answer for answer in answers.values() if isinstance(answer, InputError)]
    changed = [
        InputError(
            sentence,
            expected="results of the same weights",
            mend="The checkpoint was replaced: delete its older results and run again.",
        )
        for sentence in provenance.changed_weights(results)
    ]
    return list({str(error): error for error in [*errors, *changed]}.values())


def unread(store: Store, questions: Sequence[Question] = ALL) -> list[str]:
    """Names of the measures in a store that no question reads."""
    asked = {measure for question in questions for measure in question.measures}
    return [measure for measure in store.measures() if measure not in asked]


def contents(
    committed: Committed,
    suite: str,
    questions: Sequence[Question] = ALL,
    source: str = "results",
    launch: Launch | None = None,
) -> Contents:
    """What the site shows of committed results, `source` being what an error calls them.

    A question whose results cannot be read has a page that says why. Raises InputError where there
    are no results.
    """
    results, answers = _results(committed, questions), _answers(committed, questions)
    errors = faults(committed, questions)
    if not any(results.values()) and not errors:
        raise InputError(
            f"{source} without results",
            expected="a folder that an experiment wrote",
            mend="Check --out.",
        )
    names = {
        model
        for question in questions
        if not isinstance(answers[question.name], InputError | None)
        for model in question.models(answers[question.name])
    }
    models = [_model(name, results.values()) for name in sorted(names, key=natural)]
    tokens = provenance.tokens_per_step(results)
    shown = Contents(suite=suite, chapters=(), models=models, tokens_per_step=tokens)
    launch = launch or Launch(suite=suite)
    return Contents(
        suite=suite,
        chapters=[
            Chapter(
                name=question.name,
                title=question.title,
                command=question.command.replace("{flags}", launch.flags),
                needs=_needs(question, models),
                section=_section(
                    question,
                    answers[question.name],
                    shown,
                    source,
                    [results[measure] for measure in question.measures],
                ),
            )
            for question in questions
        ],
        models=models,
        facts=provenance.facts(results, [_without_folder(error, source) for error in errors]),
        settings=provenance.settings(results),
        tokens_per_step=tokens,
    )


def _results(committed: Committed, questions: Sequence[Question]) -> dict[str, Pairs]:
    """measure -> its units, of the measures that can be read."""
    results = {}
    for measure in dict.fromkeys(m for question in questions for m in question.measures):
        try:
            results[measure] = committed.of(measure)
        except InputError:
            results[measure] = []
    return results


def _answers(committed: Committed, questions: Sequence[Question]) -> Answers:
    answers: dict[str, Any] = {}
    for question in questions:
        try:
            answers[question.name] = committed.findings(question.find)
        except InputError as error:
            answers[question.name] = error
    return answers


def _section(
    question: Question, answer: Any, shown: Contents, source: str, read: Sequence[Pairs]
) -> Section | None:
    if answer is None:
        return None
    if isinstance(answer, InputError):
        return Section(
            introduction="Results of this question cannot be used:",
            panels=(),
            absent=_without_folder(answer, source),
        )
    section = question.section(answer, shown.look)
    tokens = shown.tokens_per_step
    panels = [
        dataclasses.replace(panel, draw=functools.partial(_with_tokens, panel.draw, tokens))
        for panel in section.panels
    ]
    section = dataclasses.replace(section, panels=panels)
    if all(map(_is_finite, (data for pairs in read for _, data in pairs))):
        return section
    panels = [
        dataclasses.replace(panel, draw=functools.partial(_drawn, panel.draw))
        for panel in section.panels
    ]
    return dataclasses.replace(section, panels=panels)


def _with_tokens(draw: Callable[[], Any], tokens_per_step: int | None) -> Any:
    return tokens_axis.add(draw(), tokens_per_step)


def _is_finite(data: xr.Dataset) -> bool:
    numbers = (v.values for v in data.variables.values() if v.dtype.kind == "f")
    return all(np.isfinite(values).all() for values in numbers)


def _drawn(draw: Callable[[], Any]) -> Any:
    """The figure of numbers of which some are not finite, or a sentence where none can be drawn."""
    try:
        figure = draw()
        # Scales are looked at only now: a logarithmic one has no place for what is not finite.
        figure.draw_without_rendering()
    except ValueError:
        figure = style.sheet(style.SIZE)
        figure.text(0.5, 0.5, "too few finite numbers to draw", ha="center", va="center")
    return figure


def _without_folder(error: InputError, source: str) -> str:
    """The error as a page says it, which shows nobody's home folder."""
    return str(error).replace(f"{source}/", "").removeprefix("got ")


def _needs(question: Question, models: Sequence[Model]) -> str:
    """Why the question cannot be asked of these models; "" where it can."""
    most = max((len(model.seeds) for model in models), default=question.fewest_seeds)
    if most >= question.fewest_seeds:
        return ""
    return f"It compares seeds, and needs {question.fewest_seeds} of a model; {most} is here."


def _model(name: str, results) -> Model:
    units = [unit for pairs in results for unit, _ in pairs if unit.model == name]
    return Model(
        name=name,
        seeds=sorted({seed for unit in units for seed in unit.seeds}),
        steps=sorted({unit.step for unit in units if unit.step is not None}),
    )

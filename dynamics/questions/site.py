"""The site of a folder of results: what each question finds, as chapters of one report.

It needs the results and nothing else: neither the suite's checkpoints nor JAX.
"""

from collections.abc import Sequence
from pathlib import Path

from dynamics.errors import InputError
from dynamics.questions import ALL, Launch, Question
from dynamics.questions.committed import Committed, natural
from dynamics.report import provenance, site
from dynamics.report.contents import Chapter, Contents, Model
from dynamics.results import Store


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
        InputError: the store is empty, a result is unreadable, or `target` cannot be written.
    """
    return site.write(contents(Committed(store), suite, questions, str(store.root), launch), target)


def contents(
    committed: Committed,
    suite: str,
    questions: Sequence[Question] = ALL,
    source: str = "results",
    launch: Launch | None = None,
) -> Contents:
    """What the site shows of committed results, `source` being what an error calls them.

    Raises InputError where there are none.
    """
    results = {
        measure: committed.of(measure) for question in questions for measure in question.measures
    }
    if not any(results.values()):
        raise InputError(
            f"{source} without results",
            expected="a folder that an experiment wrote",
            mend="Check --out.",
        )
    findings = {question.name: committed.findings(question.find) for question in questions}
    answered = [question for question in questions if findings[question.name] is not None]
    names = {model for question in answered for model in question.models(findings[question.name])}
    models = [_model(name, results.values()) for name in sorted(names, key=natural)]
    shown = Contents(suite=suite, chapters=(), models=models)
    launch = launch or Launch(suite=suite)
    return Contents(
        suite=suite,
        chapters=[
            Chapter(
                name=question.name,
                title=question.title,
                command=question.command.replace("{flags}", launch.flags),
                needs=_needs(question, models),
                section=(
                    question.section(findings[question.name], shown.look)
                    if question in answered
                    else None
                ),
            )
            for question in questions
        ],
        models=models,
        facts=provenance.facts(results),
        settings=provenance.settings(results),
    )


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

"""The finding that answers a question for all of its models at once."""

from collections.abc import Sequence

from dynamics.report import grades
from dynamics.report.section import Finding


def headline(sentence: str, of_models: Sequence[Finding]) -> list[Finding]:
    """One finding on all models, as trustworthy as the weakest of theirs; none for a single model.

    Args:
        sentence: what holds of all models.
        of_models: for each model the finding that says the same of it alone.

    Example:
        >>> own = [Finding(sentence="", rests_on="3 seeds", grade=g) for g in ("sure", "unsure")]
        >>> [(f.rests_on, f.grade) for f in headline("Seeds draw apart.", own)]
        [('3 seeds, for each of 2 models', 'unsure')]
    """
    if len(of_models) < 2:
        return []
    evidence = list(dict.fromkeys(finding.rests_on for finding in of_models))
    return [
        Finding(
            sentence=sentence,
            rests_on=f"{'; '.join(evidence)}, for each of {len(of_models)} models",
            grade=grades.weakest(finding.grade for finding in of_models),
        )
    ]

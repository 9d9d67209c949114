"""What the page says of an audit."""

from dynamics.analysis.audits import CONVICTED, REMARK, Audit
from dynamics.figures import audit as figures
from dynamics.report.section import Panel, Section

_MOST_FINDINGS = 40


def section(found: Audit) -> Section:
    """The grid of checkpoints by verdict, and the findings, faults first."""
    rows = [
        {"run": run, "step": str(step), "finding": kind, "detail": detail}
        for run, step, kind, detail in found.findings
    ]
    return Section(
        name="audit",
        title="Are the checkpoints what they claim?",
        question="Published grids hold checkpoints that serve other weights. What file digests"
        + (" and weights" if found.weights_read else "")
        + " betray was looked for.",
        panels=[
            Panel(
                name="audit-grid",
                title="Checkpoints by verdict",
                caption=_caption(found),
                draw=lambda: figures.grid(found),
            )
        ],
        rows=tuple(rows[:_MOST_FINDINGS]),
    )


def _caption(found: Audit) -> str:
    convicted, remarks = found.count(CONVICTED), found.count(REMARK)
    total = found.state.size
    told = f"{convicted} of {total} checkpoints are convicted (×): {found.fate}"
    if not convicted:
        told = f"None of {total} checkpoints is convicted"
    more = ""
    if len(found.findings) > _MOST_FINDINGS:
        more = f" The table shows {_MOST_FINDINGS} of {len(found.findings)} findings."
    read = (
        ""
        if found.weights_read
        else " Only metadata was read: a fault inside the weights would not be seen."
    )
    return f"{told}; {remarks} carry a remark (–).{read}{more}"

"""The page on the audit of a suite's checkpoints."""

from dynamics.figures import style
from dynamics.questions.audit import figures
from dynamics.questions.audit.findings import Audit
from dynamics.questions.audit.record import CONVICTED, REMARK
from dynamics.report.section import Finding, Panel, Section, Table


def section(audit: Audit, look: style.Look) -> Section:
    """The grid of checkpoints by verdict, and the faults, those that convict first."""
    looked_at = "file digests and weights betray" if audit.weights_read else "file digests betray"
    return Section(
        introduction="Published grids hold checkpoints that serve other weights than their name "
        f"says. What {looked_at} was looked for.",
        panels=[
            Panel(
                name="audit-grid",
                title="Checkpoints by verdict",
                caption=_caption(audit),
                draw=lambda: figures.grid(audit),
                table=_states(audit),
            )
        ],
        findings=[_finding(audit)],
        tables={"What was found": _faults(audit)} if audit.faults else {},
        numbers={"audit": _numbers(audit)},
    )


def _numbers(audit: Audit) -> dict[str, object]:
    """The verdict on every checkpoint, run by run."""
    names = {state: label for state, (label, _, _) in figures.LOOKS.items()}
    return {
        "runs": audit.runs,
        "steps": audit.steps,
        "verdicts": [[names[state] for state in row] for row in audit.state.tolist()],
    }


def _caption(audit: Audit) -> str:
    fate = f"Convicted (×): {audit.fate}. " if audit.count(CONVICTED) else ""
    unread = "" if audit.weights_read else " A fault inside the weights would not be seen."
    rows = "A row for each run, a column for each step."
    return f"{rows} {fate}A remark (–) convicts nothing.{unread}"


def _states(audit: Audit) -> Table:
    cells = [(run, step) for run in audit.runs for step in audit.steps]
    names = {state: label for state, (label, _, _) in figures.LOOKS.items()}
    return Table(
        columns={
            "run": [run for run, _ in cells],
            "step": [step for _, step in cells],
            "verdict": [names[state] for state in audit.state.ravel().tolist()],
        }
    )


def _faults(audit: Audit) -> Table:
    return Table(
        columns={
            "run": [run for run, _ in audit.faults],
            "step": [fault.step for _, fault in audit.faults],
            "finding": [fault.kind for _, fault in audit.faults],
            "detail": [fault.detail for _, fault in audit.faults],
            "convicts": ["yes" if fault.convicts else "no" for _, fault in audit.faults],
        }
    )


def _finding(audit: Audit) -> Finding:
    convicted, total = audit.count(CONVICTED), audit.state.size
    if convicted:
        sentence = f"{convicted} of {total} checkpoints are convicted: {audit.fate}."
    else:
        sentence = f"None of {total} checkpoints is convicted."
    remarks = audit.count(REMARK)
    more = f" {remarks} carry a remark." if remarks else ""
    return Finding(
        sentence=sentence + more,
        rests_on="file digests and weights" if audit.weights_read else "file digests alone",
        grade="sure" if convicted or audit.weights_read else "open",
    )

"""Faults of published checkpoints that are on public record.

Each entry names its public issue and the day that it was read. The hub may have been mended since,
which an audit of the files themselves shows.
"""

import dataclasses
from collections.abc import Mapping

_READ = "2026-11-24"
_TRACKER = "EleutherAI/pythia#"


@dataclasses.dataclass(frozen=True, kw_only=True)
class KnownFault:
    """One reported fault."""

    issue: str
    reported: str  # the issue's date
    read: str = _READ
    repos: tuple[str, ...]
    steps: tuple[int, ...] | None  # None means every step
    convicts: bool  # the checkpoint is not what it claims to be; otherwise this is a remark
    of_data: bool = False  # of what it was trained on, so that other seeds may not compare
    what: str


def _pythia(*names: str) -> tuple[str, ...]:
    return tuple(f"EleutherAI/pythia-{name}" for name in names)


_SERVED_FINAL = (
    *(0, *(2**k for k in range(10))),
    *range(1_000, 65_000, 1_000),
    *(65_000, 70_000, 80_000, 90_000, 100_000, 103_000, 110_000, 120_000, 130_000, 140_000),
)

KNOWN_FAULTS: tuple[KnownFault, ...] = (
    KnownFault(
        issue=f"{_TRACKER}205",
        reported="2026-08-14",
        repos=_pythia("2.8b"),
        steps=_SERVED_FINAL,
        convicts=True,
        what="serves weights of the end of training (86 of 154 branches do, step143000 rightly)",
    ),
    KnownFault(
        issue=f"{_TRACKER}206",
        reported="2026-08-14",
        repos=_pythia("12b"),
        steps=(50_000, 58_000),
        convicts=True,
        what="the first shard is the final checkpoint's: embedding and early layers",
    ),
    KnownFault(
        issue=f"{_TRACKER}203",
        reported="2026-07-21",
        repos=_pythia("160m-weight-seed1", "160m-weight-seed2"),
        steps=(0,),
        convicts=True,
        what="the run does not descend from this initialisation",
    ),
    *(
        KnownFault(
            issue=f"{_TRACKER}202",
            reported="2026-07-17",
            repos=_pythia(name),
            steps=(step,),
            convicts=True,
            what="without weights",
        )
        for name, step in (("410m-seed9", 40_000), ("410m-seed6", 88_000), ("410m-seed2", 111_000))
    ),
    KnownFault(
        issue=f"{_TRACKER}108",
        reported="2023-06-06",
        repos=_pythia("12b-deduped"),
        steps=(32_000,),
        convicts=False,
        what="was an outlier until it was uploaded again on 2023-06-15; "
        "copies from before are wrong",
    ),
    KnownFault(
        issue="van der Wal et al. 2025",
        reported="2025-03-12",
        repos=_pythia("410m-seed3", "410m-seed4"),
        steps=None,
        convicts=False,
        what="an outlier run: report numbers without this seed too",
    ),
    *(
        KnownFault(
            issue="said by a third party, not verified",
            reported="2026-02",
            repos=_pythia(size, f"{size}-deduped"),
            steps=None,
            convicts=False,
            of_data=True,
            what=f"the hub is said to have moved names: what was pythia-{size} is "
            f"pythia-{size}-deduped now, and pythia-{size} is a run on the whole Pile, so that "
            "other seeds may be of other data; the sha256 of a copy from before February 2026 "
            "beside the hub's would settle it",
        )
        for size in ("14m", "31m")
    ),
)


def known_faults(repo: str, step: int) -> list[KnownFault]:
    """What is on record of a hub id at a training step.

    Example:
        >>> [fault.issue for fault in known_faults("EleutherAI/pythia-12b", 50_000)]
        ['EleutherAI/pythia#206']
    """
    return [
        fault
        for fault in KNOWN_FAULTS
        if repo in fault.repos and (fault.steps is None or step in fault.steps)
    ]


def of_other_data(repo_by_seed: Mapping[int, str], step: int) -> str:
    """Which of the runs that are compared may be of other data than the rest; "" for none.

    Example:
        >>> sentence = of_other_data({0: "EleutherAI/pythia-14m", 1: "EleutherAI/pythia-14m-seed1"},
        ...                          step=512)
        >>> sentence.partition(" (")[0]
        'Seed 0 may be trained on other data than the others'
    """
    doubtful = {
        seed: [fault for fault in known_faults(repo, step) if fault.of_data]
        for seed, repo in repo_by_seed.items()
    }
    named = [str(seed) for seed, faults in doubtful.items() if faults]
    if not named or len(named) == len(repo_by_seed):
        return ""
    fault = next(faults[0] for faults in doubtful.values() if faults)
    seeds = f"Seed{'s' if len(named) > 1 else ''} {', '.join(named)}"
    return f"{seeds} may be trained on other data than the others ({fault.issue}): {fault.what}."

"""Faults that show in file digests alone; no weight is read."""

import collections
from collections.abc import Callable, Iterable, Mapping

from dynamics.checkpoints.audit.fault import Fault
from dynamics.checkpoints.audit.inventory import Inventory
from dynamics.checkpoints.audit.public_record import known_faults
from dynamics.suite import Cell, Source

# A warm-up from rate 0 leaves the weights of step 1, and in half precision of step 2, as they were
# at step 0.
_START = {0, 1, 2}


def check_metadata(
    inventories: Mapping[Cell, Inventory | None], *, last_step: int, shared_start: bool = False
) -> list[Fault]:
    """All faults that show in the inventories of a suite's checkpoints.

    Args:
        inventories: of every cell, None where its place does not exist.
        last_step: the last step of a whole run. Of checkpoints that serve the same file, the one of
            this step is believed: faulty uploads serve the final weights.
        shared_start: do all seeds of a model start from one initialisation?
    """
    held = {cell: inventory for cell, inventory in inventories.items() if inventory is not None}
    whole = {
        cell: inventory
        for cell, inventory in held.items()
        if inventory.weights and not inventory.absent
    }
    names = {
        inventory.tokenizer_blob: inventory.tokenizer
        for inventory in held.values()
        if inventory.tokenizer_blob
    }
    return sorted(
        {
            *(
                Fault(cell, "missing", "no such revision or folder")
                for cell in inventories.keys() - held.keys()
            ),
            *_partial(held),
            *_two_saves(held),
            *_duplicates(whole, last_step, shared_start),
            *_borrowed(whole, last_step, shared_start),
            *_unlike({cell: (cell.model, inv.config) for cell, inv in held.items()}, "config"),
            *_unlike(
                {cell: ("", names.get(inv.tokenizer, inv.tokenizer)) for cell, inv in held.items()},
                "tokenizer",
            ),
        }
    )


def check_record(cells: Iterable[Cell], source: Callable[[str, int, int], Source]) -> list[Fault]:
    """What public records say of these checkpoints."""
    return sorted(
        Fault(
            cell,
            "on record" if fault.convicts else "other data" if fault.of_data else "remark",
            f"{fault.what} ({fault.issue}, {fault.reported})",
        )
        for cell in cells
        for fault in known_faults(source(*cell).location, cell.step)
    )


def _partial(held: Mapping[Cell, Inventory]) -> Iterable[Fault]:
    for cell, inventory in held.items():
        faults = ["no weight files"] if not inventory.weights else []
        more = f" and {len(inventory.absent) - 3} more" if len(inventory.absent) > 3 else ""
        faults += [f"without {', '.join(inventory.absent[:3])}{more}"] if inventory.absent else []
        faults += ["without config.json"] if not inventory.config else []
        if faults:
            yield Fault(cell, "partial", "; ".join(faults))


def _two_saves(held: Mapping[Cell, Inventory]) -> Iterable[Fault]:
    # Which of the two is the checkpoint cannot be known: transformers reads the same one.
    for cell, inventory in held.items():
        if inventory.other_save:
            detail = f"{inventory.read} is read, {inventory.other_save} is not"
            yield Fault(cell, "two saves", detail)


def _duplicates(
    whole: Mapping[Cell, Inventory], last_step: int, shared_start: bool
) -> Iterable[Fault]:
    groups = collections.defaultdict(list)
    for cell, inventory in whole.items():
        groups[frozenset(inventory.weights.values())].append(cell)
    for group in (sorted(group) for group in groups.values() if len(group) > 1):
        if _is_start(group, shared_start):
            yield from (
                Fault(cell, "same start", f"the weights of {_others(cell, group)}")
                for cell in group[1:]
            )
        else:
            for cell in _not_believed(group, last_step):
                yield Fault(cell, "duplicate", f"the weights of {_others(cell, group)}")


def _borrowed(
    whole: Mapping[Cell, Inventory], last_step: int, shared_start: bool
) -> Iterable[Fault]:
    owners = collections.defaultdict(set)
    sets = {cell: frozenset(inventory.weights.values()) for cell, inventory in whole.items()}
    for cell, inventory in whole.items():
        for name, digest in inventory.weights.items():
            owners[name, digest].add(cell)
    for (name, _), group in owners.items():
        group = sorted(group)
        # Cells that share every file are duplicates, reported as such, or one start.
        if len({sets[cell] for cell in group}) > 1 and not _is_start(group, shared_start):
            for cell in _not_believed(group, last_step):
                yield Fault(cell, "borrowed shard", f"{name} is that of {_others(cell, group)}")


def _unlike(values: Mapping[Cell, tuple[str, str]], kind: str) -> Iterable[Fault]:
    """Faults of cells whose digest is not that of most of their group.

    `values` are each cell's group and digest. Where two digests are equally common, it is unclear
    which is right, and the whole group is reported.
    """
    groups = collections.defaultdict(dict)
    for cell, (group, digest) in sorted(values.items()):
        if digest:
            groups[group][cell] = digest
    for digests in groups.values():
        (usual, count), *rest = collections.Counter(digests.values()).most_common()
        tied = bool(rest) and rest[0][1] == count
        for cell, digest in digests.items():
            if tied:
                yield Fault(cell, kind, f"{kind}.json is one of several, none of which most have")
            elif digest != usual:
                yield Fault(cell, kind, f"{kind}.json differs from that of {count} others")


def _is_start(group: list[Cell], shared_start: bool) -> bool:
    """Can these be one initialisation? Models that differ only in data may share it.

    Seeds may share it where the suite says so.
    """
    runs = {(cell.model, cell.seed) for cell in group}
    apart = len(runs) == len({model for model, _ in runs})
    return {cell.step for cell in group} <= _START and (apart or shared_start)


def _not_believed(group: list[Cell], last_step: int) -> list[Cell]:
    """All but the final checkpoint of a single run.

    Where several runs share a file, it is unclear whose it is.
    """
    single_run = len({(cell.model, cell.seed) for cell in group}) == 1
    return [cell for cell in group if not (single_run and cell.step == last_step)]


def _others(cell: Cell, group: list[Cell]) -> str:
    others = [other for other in group if other != cell]
    near = [f"step {o.step}" if o[:2] == cell[:2] else str(o) for o in (others[-1], *others[:2])]
    shown = list(dict.fromkeys(near))
    return " and ".join(shown[:2]) + (f" ({len(others)} in all)" if len(others) > 2 else "")

"""Are checkpoints what they claim to be? From metadata where that suffices, from weights where it
does not."""

from dynamics.checkpoints.audit.finding import Finding, convicted
from dynamics.checkpoints.audit.inventory import Inventory, of_folder, of_listing
from dynamics.checkpoints.audit.known import KNOWN_FAULTS, KnownFault, known_faults
from dynamics.checkpoints.audit.metadata import check_metadata, check_record
from dynamics.checkpoints.audit.trajectory import check_trajectory
from dynamics.checkpoints.audit.whole import WEIGHTS, examine, inventories

__all__ = [
    "KNOWN_FAULTS",
    "WEIGHTS",
    "Finding",
    "Inventory",
    "KnownFault",
    "check_metadata",
    "check_record",
    "check_trajectory",
    "convicted",
    "examine",
    "inventories",
    "known_faults",
    "of_folder",
    "of_listing",
]

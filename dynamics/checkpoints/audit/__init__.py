"""Are checkpoints what they claim to be?

Metadata answers where it suffices, weights where it does not. `examine` audits a suite; the parts
are `check_record` (public reports), `check_metadata` (digests of files) and `check_trajectory`
(weights along a run).
"""

from dynamics.checkpoints.audit.fault import KINDS, Fault, convicted
from dynamics.checkpoints.audit.inventory import Inventory, of_folder, of_listing
from dynamics.checkpoints.audit.metadata import check_metadata, check_record
from dynamics.checkpoints.audit.public_record import (
    KNOWN_FAULTS,
    KnownFault,
    known_faults,
    of_other_data,
)
from dynamics.checkpoints.audit.suite_audit import WEIGHTS, examine, inventories
from dynamics.checkpoints.audit.trajectory import check_trajectory

__all__ = [
    "KINDS",
    "KNOWN_FAULTS",
    "WEIGHTS",
    "Fault",
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
    "of_other_data",
]

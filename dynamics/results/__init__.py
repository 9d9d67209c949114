"""Results on disk: one file per work unit, written whole or not at all, skipped when it exists.

A work unit is a measure of checkpoints, of a run, or of a suite (`Unit`). Its file is one netCDF
data set, put in place by one rename, so that a reader sees it whole or not at all, and any
scheduler can run any subset, twice, killed at any point. Every file carries the configuration it
was computed with; a folder written with another configuration is refused. What a file says of
itself is checked before it is used: its checksum, its unit against its place, its links and sizes.
"""

from dynamics.results.origin import made_by
from dynamics.results.store import Store, check_writable, json_attribute, name_of
from dynamics.results.unit import Unit, shard

__all__ = ["Store", "Unit", "check_writable", "json_attribute", "made_by", "name_of", "shard"]

"""Trains suites: every seed of a size in one program, checkpoints in the hub's layout."""

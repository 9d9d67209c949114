"""Timings against peers, in pairs and on the same weights; docs/performance.md has the results."""

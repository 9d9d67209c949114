"""Timings against peers, in pairs and on the same weights; docs/performance.md has the results.

`llc`, `hvp` and `kl` hold both sides of a comparison. The scripts `*_vs_*` run one comparison from
flags; `device` runs all of them, and more, on an accelerator.
"""

"""Findings to matplotlib figures: one idea per panel, each a pure function of curves."""

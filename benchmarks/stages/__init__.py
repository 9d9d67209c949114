"""Curves with planted stage boundaries, an oracle, and the table of how a rule does on them."""

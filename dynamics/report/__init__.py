"""Figures and tables to one self-contained page."""

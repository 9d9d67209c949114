"""Figures and tables to a small static site that needs no network.

`Section` is what a question's page is made of: panels, tables, findings and tracks of the overview.
`Contents` is what a site shows, and `site.write` renders it. `words` and `grades` say what a number
allows to be said. It knows no question, and draws nothing but what it is handed.
"""

from dynamics.report import grades, numbers, provenance, site, words
from dynamics.report.contents import Chapter, Contents, Model
from dynamics.report.section import Change, Entry, Finding, Panel, Section, Table, Track

__all__ = [
    "Change",
    "Chapter",
    "Contents",
    "Entry",
    "Finding",
    "Model",
    "Panel",
    "Section",
    "Table",
    "Track",
    "grades",
    "numbers",
    "provenance",
    "site",
    "words",
]

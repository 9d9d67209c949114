"""dynamics: watch how language models get their weights.

    suite -> checkpoint files -> params -> measure -> results -> statistics -> figure -> page

Each stage is a subpackage or module of the same name; it loads on first touch, so `import dynamics`
is instant.
"""

import importlib

__version__ = "0.1.0"

_ROOMS = (
    "analysis", "cache", "checkpoints", "data", "devices", "errors", "figures", "files", "inputs",
    "measures", "models", "questions", "report", "restrict", "results", "slt", "study", "suite",
    "threefry", "training",
)  # fmt: skip


def __getattr__(name: str):
    if name in _ROOMS:
        return importlib.import_module(f"dynamics.{name}")
    raise AttributeError(f"module 'dynamics' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_ROOMS])

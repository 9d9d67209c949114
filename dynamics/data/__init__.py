"""Text to token windows that remember their document.

    corpus -> tokenizer -> windows

`synthetic` makes text whose distribution is known, `minimal_pairs` reads pairs of sentences,
`passages` texts whose last word is scored, `tags` and `frequency` say what kind of token each is,
`spelling` and `byte_windows` serve comparisons by bytes. Each module loads on first
touch, because `synthetic` imports JAX and the others do not.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dynamics.data import (
        byte_windows,
        corpus,
        frequency,
        minimal_pairs,
        passages,
        spelling,
        synthetic,
        tags,
        tokenizer,
        windows,
    )

__all__ = [
    "byte_windows",
    "corpus",
    "frequency",
    "minimal_pairs",
    "passages",
    "spelling",
    "synthetic",
    "tags",
    "tokenizer",
    "windows",
]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

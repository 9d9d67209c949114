"""What results say of their making: code, packages, devices, weights, text, and their settings."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr

from dynamics.report import words
from dynamics.results import Unit

Pairs = Sequence[tuple[Unit, xr.Dataset]]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something the results say of their making: its label, and every distinct value."""

    label: str
    values: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configuration that a measure was taken with: name -> value, in words."""

    measure: str
    values: Mapping[str, str] = field(default_factory=dict)


def facts(results: Mapping[str, Pairs]) -> list[Fact]:
    """The facts of all units; `results` maps a measure to its units with their data sets."""
    data = [data for pairs in results.values() for _, data in pairs]
    made_by = [json.loads(d.attrs.get("made_by", "{}")) for d in data]
    origins = [json.loads(d.attrs.get("provenance", "{}")) for d in data]
    weights = [weight for origin in origins for weight in origin.get("weights") or []]
    corpora = [corpus for origin in origins if (corpus := origin.get("corpus"))]
    packages = _distinct(
        f"{name} {version}"
        for making in made_by
        for name, version in (making.get("packages") or {}).items()
    )
    units = [
        f"{measure}: {words.counted(len(pairs), 'unit')}"
        for measure, pairs in results.items()
        if pairs
    ]
    return [
        Fact(label="Code", values=_distinct(_code(making) for making in made_by if making)),
        Fact(label="Packages", values=[", ".join(packages)]),
        Fact(
            label="Python",
            values=_distinct(making["python"] for making in made_by if "python" in making),
        ),
        Fact(label="Device", values=_distinct(_device(making) for making in made_by if making)),
        Fact(label="Weights", values=_distinct(map(_source, weights)) or ["none"]),
        Fact(label="Weight files", values=[_files(weights)]),
        Fact(label="Text", values=_distinct(map(_text, corpora))),
        Fact(label="Results", values=units),
    ]


def settings(results: Mapping[str, Pairs]) -> list[Settings]:
    """The configuration of every measure, as its first unit has it: a folder holds but one."""
    return [
        Settings(
            measure=measure,
            values={
                name: str(value)
                for name, value in json.loads(pairs[0][1].attrs.get("config", "{}")).items()
            },
        )
        for measure, pairs in results.items()
        if pairs
    ]


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


def _code(making: Mapping) -> str:
    return f"dynamics {making.get('dynamics', '?')}, revision {making.get('revision') or 'unknown'}"


def _device(making: Mapping) -> str:
    return f"{making.get('device', '?')} ({making.get('backend', '?')})"


def _text(corpus: Mapping) -> str:
    return f"{corpus.get('name', '?')}, sha256 {corpus.get('sha256', '?')[:16]}…"


def _files(weights: Sequence[Mapping]) -> str:
    hashes = _distinct(h for weight in weights for h in (weight.get("sha256") or {}).values())
    listing = ", ".join(h[:12] for h in hashes[:4]) + (", …" if len(hashes) > 4 else "")
    return f"{len(hashes)} distinct sha256" + (f": {listing}" if hashes else "")


def _source(weight: Mapping) -> str:
    """A hub id, or the last parts of a folder's path: a page that is shown tells no home folder."""
    source = str(weight.get("source", "?"))
    if not Path(source).is_absolute():
        return source
    parts = Path(source).parts
    return f"folder …/{parts[max(1, len(parts) - 4)]}"  # of FOLDER/MODEL/SEED/STEP

"""What results say of their making: code, packages, devices, weights, text, and their settings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from dynamics.report import words
from dynamics.results import Unit, json_attribute, name_of

Pairs = Sequence[tuple[Unit, xr.Dataset]]
_MOST_TOKENS = 1 << 40  # of a step


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


def facts(results: Mapping[str, Pairs], left_out: Sequence[str] = ()) -> list[Fact]:
    """The facts of all units.

    Args:
        results: measure -> its units with their data sets.
        left_out: a sentence for every result that the page leaves out.
    """
    data = [data for pairs in results.values() for _, data in pairs]
    made_by = [json_attribute(d.attrs, "made_by", name_of(d)) for d in data]
    origins = [json_attribute(d.attrs, "provenance", name_of(d)) for d in data]
    weights = [weight for origin in origins for weight in origin.get("weights") or []]
    corpora = [corpus for origin in origins if (corpus := origin.get("corpus"))]
    packages = _distinct(
        f"{name} {version}"
        for making in made_by
        for name, version in dict(making.get("packages") or {}).items()
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
            values=_distinct(str(making["python"]) for making in made_by if "python" in making),
        ),
        Fact(label="Device", values=_distinct(_device(making) for making in made_by if making)),
        Fact(label="Weights", values=_distinct(map(_source, weights)) or ["none"]),
        Fact(label="Weight files", values=[_files(weights)]),
        Fact(label="Text", values=_distinct(map(_text, corpora))),
        Fact(label="Results", values=units),
        *_of_any("Not finite", not_finite(results)),
        *_of_any("Left out", left_out),
    ]


def not_finite(results: Mapping[str, Pairs]) -> list[str]:
    """A line for every unit that was committed with numbers that are not finite."""
    return [
        f"{unit}: {data.attrs['not_finite']}"
        for pairs in results.values()
        for unit, data in pairs
        if data.attrs.get("not_finite")
    ]


def changed_weights(results: Mapping[str, Pairs]) -> list[str]:
    """A sentence for every checkpoint whose weights were not the same in all of its results.

    Weights are the same where files of one name have one sha256.
    """
    first: dict[tuple, tuple[str, Unit]] = {}
    sentences: dict[tuple, str] = {}
    for pairs in results.values():
        for unit, data in pairs:
            weights = json_attribute(data.attrs, "provenance", name_of(data)).get("weights") or []
            for cell, origin in zip(unit.cells(), weights, strict=False):
                for file, digest in (origin.get("sha256") or {}).items():
                    before, earlier = first.setdefault((cell, file), (digest, unit))
                    if before != digest:
                        sentences[cell] = (
                            f"{file} of {cell} had sha256 {before[:12]}… in {earlier} and "
                            f"{digest[:12]}… in {unit}"
                        )
    return [sentences[cell] for cell in sorted(sentences)]


def tokens_per_step(results: Mapping[str, Pairs]) -> int | None:
    """What every model read at a step; None where models differ, or results do not say."""
    numbers = {
        unit.model: data.attrs.get("tokens_per_step")
        for pairs in results.values()
        for unit, data in pairs
        if unit.model and unit.step is not None
    }.values()
    whole = [int(n) for n in numbers if isinstance(n, int | np.integer) and 0 < n < _MOST_TOKENS]
    return whole[0] if whole and whole == [whole[0]] * len(numbers) else None


def settings(results: Mapping[str, Pairs]) -> list[Settings]:
    """The configuration of every measure: of a setting that differs between units, every value."""
    return [
        Settings(measure=measure, values=_values(pairs))
        for measure, pairs in results.items()
        if pairs
    ]


def _values(pairs: Pairs) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for _, data in pairs:
        for name, value in json_attribute(data.attrs, "config", name_of(data)).items():
            values.setdefault(name, []).append(str(value))
    return {name: " or ".join(dict.fromkeys(of_units)) for name, of_units in values.items()}


def _of_any(label: str, values: Sequence[str]) -> list[Fact]:
    return [Fact(label=label, values=values)] if values else []


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


def _code(making: Mapping) -> str:
    return f"dynamics {making.get('dynamics', '?')}, revision {making.get('revision') or 'unknown'}"


def _device(making: Mapping) -> str:
    return f"{making.get('device', '?')} ({making.get('backend', '?')})"


def _text(corpus: Mapping) -> str:
    return f"{corpus.get('name', '?')}, sha256 {str(corpus.get('sha256', '?'))[:16]}…"


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

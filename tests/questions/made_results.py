"""Made-up results of every measure, of the form that its schema asks for."""

import json
import zlib

import numpy as np
import xarray as xr

from dynamics.questions import (
    audit,
    calibration,
    causes,
    convergence,
    curvature,
    degeneracy,
    development,
    in_context,
    llc,
    llc_sweeps,
    masked,
    mechanism,
    minimal_pairs,
    next_byte,
    paths,
    perplexity,
    predictability,
    reading,
    seed_predictions,
    seed_record,
    token_properties,
    truth,
    weights,
)
from dynamics.questions.schema import Schema, Variable
from dynamics.results import Unit

STEPS = (0, 1, 8, 64)
SEEDS = (0, 1, 2)
# measure -> what its data set must hold
SCHEMAS: dict[str, Schema] = {
    "audit": audit.record.SCHEMA,
    "calibration": calibration.record.SCHEMA,
    "causes": causes.record.SCHEMA,
    "convergence": seed_record.SCHEMA,
    "ngram": convergence.record_ngram.SCHEMA,
    "curvature": curvature.record.SCHEMA,
    "in_context": in_context.record.SCHEMA,
    "llc": llc.record.SCHEMA,
    "llc_settings": llc.record_settings.SCHEMA,
    "llc_sweeps": llc_sweeps.record.SCHEMA,
    "llc_noise": llc_sweeps.record.NOISE_SCHEMA,
    "masked": Schema(variables={**seed_record.SCHEMA.variables, **masked.record.SCHEMA.variables}),
    "mechanism": mechanism.record.SCHEMA,
    "minimal_pairs": minimal_pairs.record.SCHEMA,
    "next_byte": next_byte.record.SCHEMA,
    "paths": paths.record.SCHEMA,
    "perplexity": perplexity.record.SCHEMA,
    "predictability": predictability.record.SCHEMA,
    "reading": reading.record.SCHEMA,
    "token_properties": token_properties.record.SCHEMA,
    "truth": truth.record.SCHEMA,
    "degeneracy": degeneracy.record.SCHEMA,
    "development": development.record.SCHEMA,
    "seed_predictions": seed_predictions.record.SCHEMA,
    "final_surprisal": seed_record.SCHEMA,
    "weights": weights.record.SCHEMA,
    "weight_pictures": weights.record_pictures.SCHEMA,
}
_SIZES = {
    "seed": 3, "other": 3, "document": 8, "window": 8, "position": 5, "place": 6, "pair": 12,
    "task_name": 3, "id": 20, "chain": 4, "draw": 20, "matrix": 3, "bin": 16, "step": 4,
    "point": 4, "kind": 4, "process": 3, "of_displacement": 5, "of_fork": 4, "of_rank": 3,
    "of_loss": 4,
}  # fmt: skip
_TEXTS = {
    "findings": "[]",
    "repeats": "{}",
    "domain": json.dumps({str(k): "prose" for k in range(8)}),
    "excluded": json.dumps({"code": True}),
    "weights_read": "false",
    "verdict": "local",
    "tagger": "closed",
    "rests_on": "4 chains",
}


def data_set(measure: str, unit: Unit) -> xr.Dataset:
    """A data set that the measure's schema allows, with what every result carries."""
    schema = SCHEMAS[measure]
    labelled = {name: v for name, v in schema.variables.items() if v.labels}
    sizes = {**_SIZES, **{name: len(v.labels) for name, v in labelled.items()}}
    rng = np.random.default_rng(zlib.crc32(str(unit).encode()))
    values = {
        name: (variable.axes, _values(name, variable, sizes, rng))
        for name, variable in schema.variables.items()
    }
    for name, (axes, array) in values.items():
        if axes[:2] == ("seed", "other"):
            values[name] = axes, array * ~np.eye(3, dtype=bool)[..., None]
    attributes = {
        name: _values(name, variable, sizes, rng).item()
        for name, variable in schema.attributes.items()
    }
    return xr.Dataset(values, attrs=attributes | origin(unit))


def origin(unit: Unit) -> dict[str, str]:
    """The attributes that every result carries."""
    weights = [{"folder": str(cell), "sha256": {"model": str(cell)}} for cell in unit.cells()]
    return {
        "unit": json.dumps(unit.to_json()),
        "config": json.dumps({"suite": "toy", "burn_in": 5}),
        "provenance": json.dumps({"weights": weights, "corpus": {"name": "toy", "sha256": "0"}}),
        "made_by": json.dumps({"dynamics": "0", "packages": {"jax": "0"}}),
    }


def units(measure: str, model: str = "toy-8") -> list[tuple[Unit, xr.Dataset]]:
    """All units of a model, or that of the suite."""
    if measure in ("ngram", "token_properties", "predictability"):
        made = [Unit.of_suite(measure)]
    elif measure in ("audit", "llc_settings", "paths"):
        made = [Unit.of_run(measure, model, (seed,)) for seed in SEEDS]
    else:
        seeds = (0,) if SCHEMAS[measure].single_seed else SEEDS
        made = [Unit(measure=measure, model=model, seeds=seeds, step=step) for step in STEPS]
    return [(unit, data_set(measure, unit)) for unit in made]


def _values(name: str, variable: Variable, sizes: dict, rng: np.random.Generator) -> np.ndarray:
    shape = [sizes.get(axis, 2) for axis in variable.axes]
    if variable.labels:
        return np.array(variable.labels)
    if variable.kind == "text":
        if name in _TEXTS:
            return np.array(_TEXTS[name])
        words = [f"{name} {k}" for k in range(int(np.prod(shape)))]
        return np.array(words).reshape(shape)
    if variable.kind == "number" and name not in ("step_size", "nbeta", "localization", "bytes"):
        return rng.uniform(0.1, 1.0, shape) + (name == "tokens")
    least = int(variable.least or 0)
    if variable.axes and name in (variable.axes[0], "document", "window_document"):
        return np.arange(shape[0]) + least
    most = sizes.get(variable.into, 2) - 1 if variable.into else variable.most
    return rng.integers(least, int(min(most if most is not None else least + 1, 9)) + 1, shape)

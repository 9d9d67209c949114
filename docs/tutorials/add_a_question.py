# %% [markdown]
# # Add a question
#
# A question is one folder in `dynamics/questions` with four files and one line in `questions.ALL`:
# `record` (the data set of a work unit, written and read), `findings` (what records show, computed
# once), `figures`, and `section` (the page). A script in `experiments/` makes its results. Here all
# of it stands in one file, on a question of its own: **how long is the residual stream's average
# token embedding?**
#
# Run it: `python docs/tutorials/add_a_question.py` (seconds, no download).

# %%
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import xarray as xr

from dynamics import checkpoints, models, results, suite
from dynamics.analysis.curve import Curve, all_steps
from dynamics.analysis.pairs import single_seed_curve
from dynamics.figures import style
from dynamics.models import gpt_neox
from dynamics.questions import Committed, Question, site
from dynamics.questions.committed import by_model, by_step
from dynamics.report.section import Finding, Panel, Section, Table, Track
from dynamics.results import Unit
from dynamics.study import Study

# %% [markdown]
# ## record.py: the data set of one work unit
#
# It is the only file that knows the names of the stored variables.

# %%
MEASURE = "embedding_norm"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Mean length of a token's embedding, in units of the weights."""

    norm: float


def to_dataset(record: Record) -> xr.Dataset:
    return xr.Dataset({"norm": record.norm}, attrs={"units": "weight"})


def from_dataset(data: xr.Dataset) -> Record:
    return Record(norm=float(data["norm"]))


# %% [markdown]
# ## The script: units and a compute function
#
# A `Study` is a suite opened for measuring. Units are committed one by one; a committed one is
# skipped when the script is started again.


# %%
def compute(study: Study, unit: Unit) -> xr.Dataset:
    (cell,) = unit.cells()
    checkpoint = study.load(*cell, reads_text=False)
    lengths = np.linalg.norm(checkpoint.params["embed"]["embedding"], axis=-1)
    return to_dataset(Record(norm=float(lengths.mean())))


# %% [markdown]
# ## findings.py: what the records show
#
# General statistics are in `dynamics.analysis`; here the mean over seeds with its standard error.


# %%
def find(committed: Committed) -> list[Curve] | None:
    curves = []
    for model, pairs in by_model(committed.of(MEASURE)).items():
        steps = by_step(pairs)
        norms = [[from_dataset(data).norm for _, data in units] for units in steps.values()]
        curves.append(single_seed_curve(model, list(steps), norms, np.full(len(steps), np.nan)))
    return curves or None


# %% [markdown]
# ## figures.py and section.py: how it is drawn and said


# %%
def figure(curves: list[Curve], look: style.Look):
    drawing, ax = style.axes("mean length of an embedding")
    style.lines(ax, curves, look)
    return style.over_steps(drawing, ax, all_steps(curves))


def section(curves: list[Curve], look: style.Look) -> Section:
    ratio = curves[-1].value[-1] / curves[-1].value[0]
    return Section(
        introduction="The length of a token's embedding, mean over the vocabulary.",
        panels=[
            Panel(
                name="embedding-norm",
                title="Length of embeddings",
                caption="Bars: standard errors over seeds.",
                draw=lambda: figure(curves, look),
                table=Table.of_curves(curves, "mean length of an embedding"),
            )
        ],
        findings=[
            Finding(
                sentence=f"Embeddings of {curves[-1].model} end at {ratio:.2f} times their length.",
                rests_on="all embeddings of 2 seeds",
                grade="sure",
            )
        ],
        tracks=[Track(label="length of embeddings", curves=curves)],
        numbers={"embedding_norm": curves},
    )


QUESTION = Question(
    name="embedding_norm",
    title="How long are embeddings?",
    command="python docs/tutorials/add_a_question.py",
    measures=(MEASURE,),
    find=find,
    section=section,
    models=lambda curves: [curve.model for curve in curves],
)

# %% [markdown]
# ## Try it
#
# A suite of two seeds and three checkpoints, whose embeddings are made to grow.

# %%
root = Path(tempfile.mkdtemp())
config = gpt_neox.Config(hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32,
                         vocab_size=64, max_positions=16)  # fmt: skip
for seed in (0, 1):
    params = jax.tree.map(np.asarray, models.init(jax.random.key(seed), config))
    for step in (0, 1, 2):
        longer = {"embedding": params["embed"]["embedding"] * np.float32(1 + step / 2)}
        grown = {**params, "embed": longer}
        checkpoints.save(root / "runs" / "toy" / f"seed{seed}" / f"step{step}", config, grown)

grid = suite.folder_tree("toy-suite", root / "runs", ["toy"], [0, 1], [0, 1, 2])
study = Study(suite=grid, store=results.Store(root / "results"))
settings = {"suite": grid.name}
for unit in study.single_units(MEASURE):
    if not study.store.has(unit, settings):
        study.store.write(unit, compute(study, unit), settings, {"weights": [], "corpus": {}})

report = site.write(study.store, grid.name, root / "report.html", questions=[QUESTION])
print(report)
assert "2.00 times their length" in report.read_text(encoding="utf-8")
assert (root / "report" / "embedding_norm.html").is_file()
assert list((root / "report" / "data").glob("*embedding-norm*.csv"))

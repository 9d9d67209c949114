"""How much does a longer context help? Surprisal of the same token given many tokens before it, and
given few.

    python -m experiments.in_context --suite=nano
    python -m experiments.in_context --suite=polypythia --icl_positions=500,400,50

Seconds on 2 cores. Expect no difference until the models use their context, and then a score below
zero: the token is less surprising given more. `experiments.convergence` asks for it too.
"""

import dataclasses

import xarray as xr
from absl import flags, logging

from dynamics import checkpoints
from dynamics.data import tokenizer, windows
from dynamics.errors import InputError
from dynamics.measures import in_context
from dynamics.results import Unit
from experiments import alike, common

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "icl_positions",
    ["500", "400", "50"],
    "P,LONG,SHORT: surprisal of each document's P-th token (and of every P-th after it) given the LONG and the SHORT "
    "number of tokens before it; scaled down, and said, where a model was not made for LONG",
)
flags.DEFINE_integer("icl_windows", 160, "tokens to measure that on", lower_bound=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Positions:
    """Which token is predicted, counted from 1, and given how many before it."""

    target: int
    long: int
    short: int

    def scaled(self, most: int) -> "Positions":
        """The same proportions with at most `most` tokens of context."""
        if self.long <= most:
            return self
        target, short = (max(1, round(n * most / self.long)) for n in (self.target, self.short))
        return Positions(target=max(target, most + 1), long=most, short=short)

    def __str__(self) -> str:
        return f"token {self.target} given {self.long} and {self.short} before it"


def experiments(context: common.Context) -> list[common.Experiment]:
    """Every model's seeds at every step."""
    asked = _asked()
    used = asked.scaled(_most(context))
    if used != asked:
        logging.warning(
            "in-context learning: %s, scaled from %s to what the models were made for", used, asked
        )
    config = {
        **context.text_config(),
        "icl": dataclasses.astuple(used),
        "icl_windows": FLAGS.icl_windows,
    }
    del config["context"]
    units = [
        Unit(measure="icl", model=model, seeds=context.suite.seeds, step=step)
        for model in context.suite.models
        for step in context.suite.steps
        if context.suite.whole(model, step, context.suite.seeds)
    ]

    def compute(context: common.Context, unit: Unit):
        return _surprisals(context, unit, used, used != asked)

    return [common.Experiment("icl", config, units, compute)]


def _surprisals(context: common.Context, unit: Unit, positions: Positions, scaled: bool):
    """`in_context.surprisal_by_context` of the unit's seeds."""
    loaded = [context.load(*cell) for cell in unit.cells()]
    alike.check(unit, loaded)
    documents = tokenizer.encode(context.tokenizer, context.corpus.held_out())
    text = windows.cut(documents, positions.target).take(FLAGS.icl_windows)
    lengths = (positions.long, positions.short)
    params = alike.stack([checkpoint.params for checkpoint in loaded])
    found = in_context.surprisal_by_context(loaded[0].config, params, text.tokens, lengths)
    attributes = {
        "units": "nats",
        "rests_on": "documents",
        "positions": str(positions),
        "scaled": int(scaled),
    }
    coordinates = {
        "seed": list(unit.seeds),
        "document": ("window", text.document),
        "context": list(lengths),
    }
    data = xr.Dataset(
        {"surprisal": (("seed", "window", "context"), found)}, coordinates, attributes
    )
    return data, [checkpoint.provenance for checkpoint in loaded]


def _asked() -> Positions:
    try:
        target, long, short = map(int, FLAGS.icl_positions)
    except ValueError:
        target, long, short = 0, 0, 0
    if not 0 < short < long < target:
        raise InputError(
            f"--icl_positions={','.join(FLAGS.icl_positions)}",
            expected="P,LONG,SHORT, whole numbers with P > LONG > SHORT > 0, e.g. 500,400,50",
        )
    return Positions(target=target, long=long, short=short)


def _most(context: common.Context) -> int:
    """Tokens of context that every model of the suite was made for."""
    cells = {cell.model: cell for cell in reversed(list(context.suite.cells()))}
    sources = [context.suite.source(*cell) for cell in cells.values()]
    positions = [
        checkpoints.config(*source, weights=context.weights).max_positions for source in sources
    ]
    return min([*positions, context.suite.trained_context or positions[0]])


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))

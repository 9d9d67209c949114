"""How much does a longer context help? Surprisal of a token given many before it, and given few.

    python -m experiments.in_context --suite=nano
    python -m experiments.in_context --suite=polypythia --icl_positions=500,400,50

Seconds on 2 cores. Expect no difference until the models use their context, and then a score below
zero: the token is less surprising given more. `experiments.convergence` asks for it too.
"""

import dataclasses

from absl import flags, logging

from dynamics.data import windows
from dynamics.errors import InputError
from dynamics.measures import in_context
from dynamics.questions.in_context import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.wholes(
    "icl_positions",
    [500, 400, 50],
    "P,LONG,SHORT: surprisal of each document's P-th token (and of every P-th after it) given the "
    "LONG and the SHORT number of tokens before it; scaled down, and the page says so, where a "
    "model was not made for LONG",
    least=1,
)
number_flags.whole("icl_windows", 160, "tokens to measure that on", least=1)


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


def experiments(study: Study) -> list[common.Experiment]:
    """Every model's seeds at every step."""
    asked = _asked_positions()
    positions = asked.scaled(study.longest_context)
    if positions != asked:
        logging.warning(
            "in-context learning: %s, scaled from %s to what the models were made for",
            positions,
            asked,
        )
    config = {
        **study.text_config(),
        "context": positions.target,
        "positions": dataclasses.astuple(positions),
        "windows": FLAGS.icl_windows,
    }
    units = study.seed_set_units(record.MEASURE)

    def compute(study: Study, unit: Unit):
        return _surprisals(study, unit, positions, scaled=positions != asked)

    return [common.Experiment(record.MEASURE, config, units, compute)]


def tokens_needed(study: Study) -> int:
    """Tokens of the shortest document that it can be measured on."""
    return _asked_positions().scaled(study.longest_context).target


def _surprisals(study: Study, unit: Unit, positions: Positions, *, scaled: bool):
    """`measures.in_context.surprisal_by_context` of the unit's seeds."""
    seeds = study.load_seeds(unit)
    text = windows.cut(study.evaluation_documents, positions.target).take(FLAGS.icl_windows)
    lengths = (positions.long, positions.short)
    surprisals = record.Record(
        seeds=unit.seeds,
        surprisal=in_context.surprisal_by_context(seeds.config, seeds.params, text.tokens, lengths),
        lengths=lengths,
        document=text.document,
        positions=str(positions),
        scaled=scaled,
    )
    return record.to_dataset(surprisals), seeds.provenance


def _asked_positions() -> Positions:
    """What --icl_positions says. Raises InputError."""
    numbers = FLAGS.icl_positions
    if len(numbers) != 3 or not numbers[0] > numbers[1] > numbers[2]:
        raise InputError(
            f"--icl_positions={','.join(map(str, numbers))}",
            expected="P,LONG,SHORT, whole numbers with P > LONG > SHORT > 0, e.g. 500,400,50",
        )
    target, long, short = numbers
    return Positions(target=target, long=long, short=short)


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))

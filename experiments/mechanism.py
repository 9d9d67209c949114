"""Which heads look back, which units are dead, how much precision does the loss need?

    python -m experiments.mechanism --suite=nano
    python -m experiments.mechanism --suite=pythia --models=70m --compress_windows=64

Half a minute on 2 cores. Expect scores of uniform attention at step 0, previous-token heads before
prefix-matching ones, and a loss that needs more bits the longer the training.
"""

import jax
import numpy as np
from absl import flags

from dynamics.data import tokenizer
from dynamics.errors import InputError
from dynamics.measures import attention, compression, dead_units, perplexity
from dynamics.measures.compression import Rule
from dynamics.questions.mechanism import record
from dynamics.results import Unit
from dynamics.study import Study
from experiments import common, number_flags

FLAGS = flags.FLAGS
number_flags.whole("repeated_sequences", 24, "random sequences for the scores of heads", least=2)
number_flags.whole("repeated_block", 25, "random tokens of the block that is repeated", least=2)
number_flags.whole("repeats", 4, "how often the block stands in a sequence", least=2)
number_flags.whole(
    "head_windows", 16, "windows of text for the previous-token score there", least=1
)
number_flags.whole("dead_tokens", 100_000, "tokens that tell which units are dead", least=1)
number_flags.whole(
    "compress_windows", 16, "windows of text for the loss after compression", least=2
)
number_flags.wholes("bits", [8, 4, 3, 2], "bits of a rounded weight", least=2, most=16)
number_flags.reals(
    "pruned", [0.25, 0.5, 0.75, 0.9], "shares of the smallest weights set to zero", least=0, most=1
)
number_flags.whole("mechanism_seeds", 1, "how many of the seeds to take (0: all)")

_SETTINGS = (
    "repeated_sequences",
    "repeated_block",
    "repeats",
    "head_windows",
    "dead_tokens",
    "compress_windows",
    "bits",
    "pruned",
)
UNEMBEDDING = ("unembed",)  # whose ternary values the paper's claim is about


def experiments(study: Study) -> list[common.Experiment]:
    """Every checkpoint of the seeds that are asked for."""
    size, longest = FLAGS.repeated_block * FLAGS.repeats, _longest(study)
    if size > longest:
        raise InputError(
            f"--repeated_block={FLAGS.repeated_block} with --repeats={FLAGS.repeats}, {size} "
            "tokens",
            expected=f"at most {longest} tokens, the positions of the models",
        )
    config = {**study.text_config(), **{name: FLAGS[name].value for name in _SETTINGS}}
    units = study.single_units(record.MEASURE, study.suite.seeds[: FLAGS.mechanism_seeds or None])
    return [common.Experiment(record.MEASURE, config, units, compute)]


def compute(study: Study, unit: Unit):
    """Scores of heads, dead units and losses after compression of one checkpoint."""
    (cell,) = unit.cells()
    checkpoint = study.load(*cell)
    config, params = checkpoint.config, jax.device_put(checkpoint.params)
    windows = study.evaluation_windows
    units = windows.take(-(-FLAGS.dead_tokens // study.window_length))
    measured = record.Record(
        heads=_heads(study, config, params),
        active=dead_units.active_tokens(config, params, units.tokens),
        num_tokens=units.tokens.size,
        compression=_losses(study, config, params),
    )
    return record.to_dataset(measured), [checkpoint.provenance]


def _heads(study: Study, config, params) -> record.Heads:
    block, repeats = FLAGS.repeated_block, FLAGS.repeats
    masks = attention.repeat_masks(block, repeats)
    key = jax.random.key(0)  # the same sequences at every checkpoint
    sequences = attention.repeated_tokens(
        key, _real_ids(study), FLAGS.repeated_sequences, block, repeats
    )
    repeated = attention.head_scores(config, params, sequences, masks)
    text = study.evaluation_windows.take(FLAGS.head_windows)
    mask = attention.previous_mask(text.tokens.shape[1])
    of_text = attention.head_scores(config, params, text.tokens, mask)
    return record.Heads(
        repeated=np.stack([repeated[name] for name in record.SCORES]),
        uniform=np.array([attention.uniform_score(masks[name]) for name in record.SCORES]),
        text=of_text[record.PREVIOUS],
        text_uniform=attention.uniform_score(mask[record.PREVIOUS]),
        document=text.document,
        block=block,
        repeats=repeats,
    )


def _real_ids(study: Study) -> np.ndarray:
    """Ids of the tokenizer, without the padding of a vocabulary and the separator."""
    ids = np.arange(study.tokenizer.get_vocab_size())
    return ids[ids != tokenizer.separator(study.tokenizer)]


def _losses(study: Study, config, params) -> record.Compression:
    """Mean surprisal of each window, in full precision and after each rule."""
    text = study.evaluation_windows.take(FLAGS.compress_windows)
    settings: list[tuple[Rule, tuple[str, ...] | None]] = [
        (Rule(kind="ternary"), None),
        (Rule(kind="ternary"), UNEMBEDDING),
        *((Rule(kind="bits", level=bits), None) for bits in FLAGS.bits),
        *((Rule(kind="pruned", level=share), None) for share in FLAGS.pruned),
    ]

    def nats(params) -> np.ndarray:
        return perplexity.text_surprisal(config, params, text.tokens).mean

    return record.Compression(
        full=nats(params),
        rules=tuple(str(rule) for rule, _ in settings),
        parts=tuple("the unembedding" if parts else "all matrices" for _, parts in settings),
        compressed=np.stack(
            [nats(compression.compressed(params, rule, parts)) for rule, parts in settings]
        ),
        document=text.document,
    )


def _longest(study: Study) -> int:
    return min(config.max_positions for config in study.configs().values())


if __name__ == "__main__":
    common.main(lambda: common.run_all(experiments))

"""The text whose every token is predicted by all seeds: fixed windows of it, or whole prefixes.

`experiments.convergence` and `experiments.token_properties` read it, so that what is known of a
token lies beside its divergence. Axes: B windows, T tokens, P = T - 1 predictions of a window, M
predictions of the text.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from absl import flags, logging
from jaxtyping import Bool, Int

from dynamics.data import windows
from dynamics.study import Study

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "context_mode",
    "windows",
    ["windows", "prefix"],
    "what a token is predicted from: windows, at most --context tokens within one of --windows "
    "fixed windows; prefix, all that stands before it in its document, as far as the models were "
    "made to read, for every token of every document",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredText:
    """The tokens that are predicted.

    Attributes:
        tokens: [B,T].
        document: [B] the document of each window.
        scored: [B,P] which predictions count; None where all do.
        predictions: what the results keep a row for: the windows, or in prefix mode every
            prediction as a window of two tokens.
        coverage: how much text that is and what of it is left out, in a sentence.
    """

    tokens: Int[np.ndarray, "B T"]
    document: Int[np.ndarray, " B"]
    scored: Bool[np.ndarray, "B P"] | None
    predictions: windows.Windows
    coverage: str

    def rows(self, numbers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays of `seed_divergence` with those of single tokens [...,B,P] by `predictions`."""
        if self.scored is None:
            return dict(numbers)
        single = {
            name: numbers[name][..., self.scored][..., None] for name in ("kl", "js", "surprisal")
        }
        return {**numbers, **single}


def config(study: Study) -> dict:
    """The part of a result's configuration that says which tokens are predicted, from what."""
    if FLAGS.context_mode == "windows":
        return {**study.text_config(), "windows": FLAGS.windows}
    return {**study.text_config(), "context": study.longest_context, "context_mode": "prefix"}


def of(study: Study) -> ScoredText:
    """The text that the flags name. Raises InputError where it holds nothing to predict."""
    if FLAGS.context_mode == "windows":
        cut = study.evaluation_windows.take(FLAGS.windows)
        return ScoredText(
            tokens=cut.tokens,
            document=cut.document,
            scored=None,
            predictions=cut,
            coverage=_of_windows(study, cut),
        )
    text = study.evaluation_prefixes
    coverage = _of_prefixes(study, text)
    logging.log_first_n(logging.WARNING, "measured: %s", 1, coverage)
    return ScoredText(
        tokens=text.tokens,
        document=text.document,
        scored=text.scored,
        predictions=text.pairs(),
        coverage=coverage,
    )


def _of_windows(study: Study, cut: windows.Windows) -> str:
    lengths = np.array([len(ids) for ids in study.evaluation_documents])
    length, short = study.window_length, int((lengths < study.window_length).sum())
    measured = f"{len(cut):,} windows of {length} tokens, {cut.tokens[:, 1:].size:,} predictions"
    rest = int(lengths.sum()) - cut.tokens.size
    return (
        f"{measured}, of {len(np.unique(cut.document)):,} of {_documents(study)}; {rest:,} tokens "
        f"are in no window, and {short:,} documents are shorter than one."
    )


def _of_prefixes(study: Study, text: windows.Prefixes) -> str:
    most = text.positions
    parts = [
        f"every token of {text.num_documents:,} of {_documents(study)}, {len(text.owners):,} "
        f"tokens, each predicted from its whole prefix up to {most:,} tokens"
    ]
    if text.long:
        parts.append(
            f"{text.long:,} longer documents go on in windows that overlap by half, so that their "
            f"later tokens are given {most // 2:,} to {most:,}"
        )
    if text.short:
        parts.append(f"{text.short:,} documents without a token to predict are left out")
    return "; ".join(parts) + "."


def _documents(study: Study) -> str:
    count = len(study.evaluation_documents)
    part = "" if study.measures_all else " held-out"
    return f"{count:,}{part} documents of {study.corpus.name}"

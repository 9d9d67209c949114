"""The page's section on whether seeds converge: panels, captions, tables."""

from collections.abc import Sequence

from dynamics.analysis import curves
from dynamics.analysis.curves import Divergence
from dynamics.figures import convergence, style
from dynamics.report import expected, words
from dynamics.report.section import Findings, Panel


def panels(found: Findings, look: style.Look) -> list[Panel]:
    """Panels of a store that holds the measure "convergence"."""
    seeds, largest = found.divergence, found.divergence[-1]
    return [
        *expected.overview(found, look),
        Panel(
            name="seed-kl",
            title="Divergence between seeds",
            caption=_seed_kl_caption(seeds),
            draw=lambda: convergence.seed_kl(seeds, look),
        ),
        *expected.phases(found.expected, look),
        *expected.last_step(found.expected, look),
        Panel(
            name="cross-entropy",
            title="Loss on held-out text",
            caption=_loss_caption(found),
            draw=lambda: convergence.cross_entropy(seeds, found.ngrams, look),
        ),
        *_distances(seeds, look),
        *expected.spreads(seeds, look),
        Panel(
            name="token-spread",
            title=f"Spread over tokens, {largest.model}",
            caption=_spread_caption(largest),
            draw=lambda: convergence.token_spread(largest, look),
        ),
    ]


def rows(found: Findings) -> tuple[dict[str, str], ...]:
    """Of every seed, what the mean is without it and how far it is from the others, at the last
    step."""
    return tuple(row for one in found.expected for row in expected.seed_rows(one))


def _distances(seeds: list[Divergence], look: style.Look) -> list[Panel]:
    to_uniform = [curves.over_seeds(one, "kl_uniform") for one in seeds]
    to_unigram = [curves.over_seeds(one, "kl_unigram") for one in seeds]
    entropy = [curves.over_seeds(one, "entropy") for one in seeds]
    draw = convergence.per_seed
    return [
        Panel(
            name="kl-uniform",
            title="Distance to the uniform distribution",
            caption=f"KL from the model to a uniform guess: {words.courses(to_uniform)}. {words.bars(to_uniform)}",
            draw=lambda: draw(seeds, look, "kl_uniform", "KL to uniform (nats)"),
        ),
        Panel(
            name="kl-unigram",
            title="Distance to word frequency",
            caption=f"KL from the model to the unigram distribution: {words.courses(to_unigram)}. Where it is lowest, "
            f"the model says little beyond how frequent tokens are. {words.bars(to_unigram)}",
            draw=lambda: draw(seeds, look, "kl_unigram", "KL to unigram (nats)"),
        ),
        Panel(
            name="entropy",
            title="Entropy of the prediction",
            caption=f"{words.courses(entropy)}. {words.bars(entropy)}",
            draw=lambda: draw(seeds, look, "entropy", "entropy (nats)"),
        ),
    ]


def _seed_kl_caption(found: Sequence[Divergence]) -> str:
    drawn = [curves.seed_kl(one) for one in found]
    first = found[0]
    banded = any(curve.has_errors for curve in drawn)
    fixed = (
        f"Bands: 95\u00a0% intervals over {len(first.seeds)} seeds, the {len(first.tokens)} documents held fixed."
        if banded
        else f"No band: an interval over seeds needs three, and there are {len(first.seeds)}."
    )
    return f"{'. '.join(map(words.kl_course, found))}. Nats per token, mean over ordered pairs of seeds. {fixed}"


def _loss_caption(found: Findings) -> str:
    drawn = [curves.over_seeds(one, "surprisal") for one in found.divergence]
    ends = words.listed(
        [f"{curve.model} ends at {words.number(curve.value[-1])}" for curve in drawn]
    )
    lines = words.listed(
        [f"{words.number(value)} (n = {order})" for order, value in found.ngrams.items()]
        or ["none"]
    )
    yardstick = (
        f"Interpolated Kneser–Ney on the same text: {lines} nats per token"
        if found.ngrams
        else "No n-gram given"
    )
    return f"{ends} nats per token. {yardstick}. {words.bars(drawn)}"


def _spread_caption(found: Divergence) -> str:
    low, _, median, _, high = found.token_quantiles[-1]
    return (
        f"At step {found.steps[-1]} the median token's seeds are {words.number(median)} nats apart, 5 % of tokens less "
        f"than {words.number(low)} and 5 % more than {words.number(high)}. Bands are quantiles over tokens, not errors."
    )

"""Suites on the hub, as their authors laid them out."""

from dynamics.suite.grid import Causes, Source, Suite
from dynamics.suite.schedule import CosineSchedule

PYTHIA_SIZES = ("14m", "31m", "70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")
POLYPYTHIA_SIZES = PYTHIA_SIZES[:5]
PYTHIA_MODELS = (*PYTHIA_SIZES, *(f"{size}-deduped" for size in PYTHIA_SIZES))
PYTHIA_STEPS = (0, *(2**k for k in range(10)), *range(1000, 144_000, 1000))
# The log-spaced subset of Fehlauer et al. 2025: doublings in either part of the grid.
PYTHIA_LOG_STEPS = (0, *(2**k for k in range(10)), *(1000 * 2**k for k in range(8)))
MULTIBERT_STEPS = (0, *range(20_000, 200_001, 20_000), *range(300_000, 2_000_001, 100_000))

PYTHIA_TOKENS_PER_STEP = 1024 * 2048  # windows of a batch, tokens of a window
MULTIBERT_TOKENS_PER_STEP = 256 * 512

# Biderman et al. 2023, table 6, and the configurations of 14m and 31m, which came later: AdamW, 1 %
# warm-up, cosine to a tenth.
_PEAK_RATES = {
    "14m": 1e-3,
    "31m": 1e-3,
    "70m": 1e-3,
    "160m": 6e-4,
    "410m": 3e-4,
    "1b": 3e-4,
    "1.4b": 2e-4,
    "2.8b": 1.6e-4,
    "6.9b": 1.2e-4,
    "12b": 1.2e-4,
}


def _pythia_rate(model: str, step: int) -> float:
    return CosineSchedule(
        peak=_PEAK_RATES[model.removesuffix("-deduped")], warmup=1430, num_steps=143_000
    )(step)


def _on_pythia_steps(
    name: str, models, seeds, repo, *, shared_start: bool = False, causes=None
) -> Suite:
    return Suite(
        name=name,
        models=models,
        seeds=tuple(seeds),
        steps=PYTHIA_STEPS,
        source=lambda model, seed, step: Source(repo(model, seed), f"step{step}"),
        default_steps=PYTHIA_LOG_STEPS,
        causes=causes,
        shared_start=shared_start,
        learning_rate=_pythia_rate,
        tokens_per_step=PYTHIA_TOKENS_PER_STEP,
    )


def pythia() -> Suite:
    """Pythia (Biderman et al. 2023): ten sizes, each also deduplicated; a single seed.

    Which Pile 14m and 31m were trained on is not certain: `audit.KNOWN_FAULTS` says why.
    """
    return _on_pythia_steps(
        "pythia", PYTHIA_MODELS, [0], lambda model, _: f"EleutherAI/pythia-{model}"
    )


def polypythia() -> Suite:
    """PolyPythias (van der Wal et al. 2025): five sizes, ten seeds; seed 0 is the base model.

    That of 14m and 31m may be of another Pile than their other seeds: `audit.KNOWN_FAULTS`.
    """

    def repo(model: str, seed: int) -> str:
        return f"EleutherAI/pythia-{model}" + (f"-seed{seed}" if seed else "")

    return _on_pythia_steps("polypythia", POLYPYTHIA_SIZES, range(10), repo)


def polypythia_data() -> Suite:
    """PolyPythias whose seeds vary only the order of the data: they share an initialisation."""

    def repo(model: str, seed: int) -> str:
        return f"EleutherAI/pythia-{model}-data-seed{seed}"

    return _on_pythia_steps(
        "polypythia-data",
        ("160m",),
        range(1, 4),
        repo,
        shared_start=True,
        causes=lambda seed: Causes(0, seed),
    )


def polypythia_weights() -> Suite:
    """PolyPythias whose seeds vary only the initialisation."""

    def repo(model: str, seed: int) -> str:
        return f"EleutherAI/pythia-{model}-weight-seed{seed}"

    return _on_pythia_steps(
        "polypythia-weights",
        ("160m",),
        range(1, 4),
        repo,
        causes=lambda seed: Causes(seed, 0),
    )


def polypythia_causes() -> Suite:
    """The runs of both `polypythia_data` and `polypythia_weights`, side by side.

    Seeds 1 to 3 share an initialisation and 4 to 6, weight seeds 1 to 3, share a data order; two of
    different groups share nothing. They fill no grid, so that what each cause makes of their
    divergence has an estimate and no interval.
    """

    def repo(model: str, seed: int) -> str:
        kind, number = ("data", seed) if seed <= 3 else ("weight", seed - 3)
        return f"EleutherAI/pythia-{model}-{kind}-seed{number}"

    def causes(seed: int) -> Causes:
        return Causes(0, seed) if seed <= 3 else Causes(seed - 3, 0)

    return _on_pythia_steps(
        "polypythia-causes", ("160m",), range(1, 7), repo, shared_start=True, causes=causes
    )


def multibert() -> Suite:
    """MultiBERTs (Sellam et al. 2022): the five seeds with checkpoints during training.

    Every checkpoint has a repository of its own.
    """

    def source(model: str, seed: int, step: int) -> Source:
        return Source(f"google/multiberts-seed_{seed}-step_{step // 1000}k", "main")

    return Suite(
        name="multibert",
        models=("base",),
        seeds=tuple(range(5)),
        steps=MULTIBERT_STEPS,
        source=source,
        tokens_per_step=MULTIBERT_TOKENS_PER_STEP,
    )

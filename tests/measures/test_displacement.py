"""Four displacements against closed forms. Axes: K checkpoints, N weights."""

import numpy as np
import pytest

from dynamics.errors import InputError
from dynamics.measures import displacement
from dynamics.measures.displacement import KINDS, mean_square_displacement, moments

EVEN = np.arange(1000, 41_000, 1000)
UNEVEN = np.r_[0, 2 ** np.arange(10), np.arange(1000, 12_000, 1000)]
NUM_WEIGHTS = 20_000


@pytest.fixture(scope="module", params=["even", "uneven"])
def steps(request) -> np.ndarray:
    return {"even": EVEN, "uneven": UNEVEN}[request.param]


def paths(process: str, steps: np.ndarray, start: float = 0.0, seed: int = 0) -> np.ndarray:
    """[K,N] of a process with unit variance of its move from the first step to the last."""
    rng, time = np.random.default_rng(seed), (steps - steps[0]) / (steps[-1] - steps[0])
    if process == "constant":
        moved = np.zeros((len(steps), NUM_WEIGHTS))
    elif process == "Brownian":
        increments = rng.normal(size=(len(steps), NUM_WEIGHTS))
        moved = np.cumsum(increments * np.sqrt(np.diff(time, prepend=0))[:, None], 0)
    else:
        moved = time[:, None] * rng.normal(size=NUM_WEIGHTS)
    return start * rng.normal(size=NUM_WEIGHTS) + moved


def closed_forms(process: str, steps: np.ndarray, start: float) -> dict[str, np.ndarray]:
    """What each statistic of infinitely many weights is, worked out by hand for the process."""
    time = (steps - steps[0]) / (steps[-1] - steps[0])
    power = {"constant": None, "Brownian": 1, "ballistic": 2}[process]
    moved = np.zeros(len(steps)) if power is None else time**power
    share = np.r_[time[1] - time[0], np.diff(time)] * (len(steps) - 1)
    total = np.cumsum(share)
    if process == "constant":
        summed = np.zeros(len(steps))
    elif process == "Brownian":  # each increment counts in every later position
        left = [np.r_[np.zeros(j), np.cumsum(share[j:])] for j in range(len(steps))]
        increments = np.diff(time, prepend=0)
        summed = sum(dt * kept**2 for dt, kept in zip(increments, left, strict=True))
    else:
        summed = np.cumsum(share * time) ** 2
    return {
        "cumulative": start**2 * total**2 + summed,
        "variance": start**2 + moved,
        "from_first": moved,
    }


@pytest.mark.parametrize("process", displacement.PROCESSES)
def test_all_four_statistics_of_a_process_are_its_closed_forms(process, steps):
    start = 0.5
    measured = moments(steps, paths(process, steps, start))
    expected = displacement.expected(steps, process, start=start**2, reached=1.0)
    forms = closed_forms(process, steps, start)
    for kind in KINDS:
        sampled = mean_square_displacement(measured, kind)
        exact = mean_square_displacement(expected, kind)
        if kind in forms:
            np.testing.assert_allclose(exact.value, forms[kind], rtol=1e-9, atol=1e-12)
        else:
            lags = exact.time / (steps[-1] - steps[0])
            power = {"constant": 0, "Brownian": 1, "ballistic": 2}[process]
            wanted = lags**power if power else 0 * lags
            # Lags of an uneven grid share bins, whose mean square is not the square of the mean.
            np.testing.assert_allclose(exact.value, wanted, rtol=0.15, atol=1e-12)
        # 20,000 weights tell a mean square to sqrt(2 / N) = 1 %.
        np.testing.assert_allclose(sampled.value, exact.value, rtol=0.05, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "process", "exponent"),
    [
        ("cumulative", "constant", 2),
        ("cumulative", "Brownian", 3),
        ("cumulative", "ballistic", 4),
        ("variance", "Brownian", 1),
        ("variance", "ballistic", 2),
        ("from_first", "Brownian", 1),
        ("from_first", "ballistic", 2),
        ("lagged", "Brownian", 1),
        ("lagged", "ballistic", 2),
    ],
)
def test_the_exponent_is_that_of_the_process(steps, kind, process, exponent):
    start = 1.0 if process == "constant" else 0.0
    measured = mean_square_displacement(moments(steps, paths(process, steps, start)), kind)
    # A sum over few checkpoints is not yet the integral.
    late = slice(-5, -1) if kind == "cumulative" else slice(2, -1)
    tolerance = 0.35 if kind == "cumulative" else 0.12
    assert np.abs(measured.exponent[late] - exponent).max() < tolerance


def test_on_an_even_grid_the_cumulative_one_is_equation_5_as_printed():
    weights = paths("Brownian", EVEN, 0.3)[:, :500]
    summed = np.cumsum(weights - weights.mean(1, keepdims=True), axis=0)
    printed = (summed**2).sum(1) / (weights.shape[1] - 1)
    measured = mean_square_displacement(moments(EVEN, weights), "cumulative")
    np.testing.assert_allclose(measured.value, printed, rtol=1e-9)


def test_white_noise_cumulates_linearly_and_is_no_diffusion():
    """Linear growth of the paper's statistic is what weights without any memory give."""
    noise = np.random.default_rng(0).normal(size=(len(EVEN), 5000))
    measured = moments(EVEN, noise)
    cumulative = mean_square_displacement(measured, "cumulative")
    assert np.abs(cumulative.exponent[5:] - 1).max() < 0.15
    assert np.abs(mean_square_displacement(measured, "lagged").exponent[:-1]).max() < 0.05


def test_the_interval_of_an_exponent_covers_it():
    steps = np.arange(20)
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        walk = np.cumsum(rng.normal(size=(20, 400)), axis=0)
        walk -= walk[0]
        measured = mean_square_displacement(moments(steps, walk), "from_first")
        low, high = measured.exponent_low[1:], measured.exponent_high[1:]
        covered.append(((low <= 1) & (high >= 1)).mean())
    assert 0.9 < np.mean(covered) < 0.99


def test_errors_are_those_of_drawing_other_weights():
    values = [
        mean_square_displacement(
            moments(EVEN[:8], paths("Brownian", EVEN[:8], 0.5, seed)), "variance"
        )
        for seed in range(20)
    ]
    scatter = np.std([v.value[-1] for v in values], ddof=1)
    assert np.mean([v.sem[-1] for v in values]) == pytest.approx(scatter, rel=0.4)


def test_blocks_and_rows_change_nothing(monkeypatch):
    weights = paths("Brownian", EVEN, 0.5)[:, :1001]
    whole = moments(EVEN[::2], weights[::2])
    monkeypatch.setattr(displacement, "_BLOCK", 3000)
    parts = moments(EVEN[::2], weights, rows=np.arange(0, len(EVEN), 2))
    np.testing.assert_allclose(parts.product, whole.product, rtol=1e-12)
    assert parts.count.sum() == 1001


def test_a_process_is_matched_at_the_start_and_at_the_end():
    measured = moments(UNEVEN, paths("Brownian", UNEVEN, 0.5))
    for process in ("Brownian", "ballistic"):
        matched = displacement.matched(measured, process)
        for kind, place in (("variance", 0), ("from_first", -1)):
            value, wanted = (
                mean_square_displacement(of, kind).value[place] for of in (matched, measured)
            )
            assert value == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("level", [0.0, 0.02, 0.3])  # 0.02 has no exact sum
def test_weights_that_are_all_equal_have_no_exponent_and_no_warning(level):
    measured = moments([0, 1, 2, 4], np.full((4, 10_007), level, np.float32))
    for kind in KINDS:
        statistic = mean_square_displacement(measured, kind)
        np.testing.assert_array_equal(statistic.value, 0)
        assert np.isnan(statistic.exponent).all()


@pytest.mark.parametrize(
    ("weights", "steps", "words"),
    [
        (np.ones((2, 3)), [0], "a step for each row"),
        (np.ones((1, 3)), [0], "two different checkpoints"),
        (np.ones((2, 3)), [1, 1], "ascending"),
        (np.full((2, 3), np.nan), [0, 1], "not finite"),
    ],
)
def test_bad_paths_are_refused(weights, steps, words):
    with pytest.raises(InputError, match=words):
        moments(steps, weights)


def test_the_caller_must_name_a_statistic():
    measured = moments([0, 1], np.eye(2))
    with pytest.raises(TypeError):
        mean_square_displacement(measured)  # pyright: ignore[reportCallIssue]
    with pytest.raises(InputError, match="cumulative, variance, from_first, lagged"):
        mean_square_displacement(measured, "msd")

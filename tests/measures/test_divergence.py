"""Seed divergence against float64, closed forms, and its own slow form."""

import dataclasses
import functools
import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models
from dynamics.data import windows
from dynamics.errors import InputError
from dynamics.measures import divergence
from dynamics.models import gpt_neox


def exact_kl(p_logits, q_logits):
    """KL in extended precision, [..., V] -> [...]."""

    def log_softmax(x):
        x = np.asarray(x, np.longdouble) - np.max(x, -1, keepdims=True)
        return x - np.log(np.exp(x).sum(-1, keepdims=True))

    p, q = log_softmax(p_logits), log_softmax(q_logits)
    return (np.exp(p) * (p - q)).sum(-1).astype(np.float64)


def assert_matches(logits):
    kl = np.asarray(divergence.pairwise_kl(logits))
    assert (kl >= 0).all()
    for i, j in itertools.permutations(range(len(logits)), 2):
        np.testing.assert_allclose(kl[i, j], exact_kl(logits[i], logits[j]), rtol=1e-5)


@pytest.mark.parametrize("apart", [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("vocab", [7, 2048, 50304])
def test_agrees_with_extended_precision(apart, vocab):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 3, vocab)) * 2 + apart * rng.normal(size=(3, 3, vocab))
    assert_matches(logits.astype(np.float32))


@pytest.mark.parametrize("offset", [10.0, 101.5, 1000.25, 10_000.0, -10_000.5])
@pytest.mark.parametrize("apart", [1e-3, 0.3])
def test_an_offset_between_seeds_costs_no_digits(offset, apart):
    """What is common to a seed's logits changes no softmax: exact on the very float32 logits."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(1, 3, 2048)) * 2 + apart * rng.normal(size=(3, 3, 2048))
    assert_matches((logits + np.array([[[0.0]], [[offset]], [[-offset / 2]]])).astype(np.float32))


def exact_js(p_logits, q_logits):
    """JS in extended precision, as the mean KL to the mixture.

    By g(u) = u tanh u - log cosh u for close pairs.
    """
    wide = [np.asarray(x, np.longdouble) for x in (p_logits, q_logits)]
    log_p, log_q = (x - np.logaddexp.reduce(x, -1, keepdims=True) for x in wide)
    u = (log_q - log_p) / 2
    small = np.abs(u) < 1e-2
    s = np.where(small, u, 0)
    near = s**2 / 2 - s**4 / 4 + s**6 / 9 - s**8 * 17 / 360
    far = u * np.tanh(u) - (np.logaddexp(u, -u) - np.log(np.longdouble(2)))
    return (
        ((np.exp(log_p) + np.exp(log_q)) / 2 * np.where(small, near, far))
        .sum(-1)
        .astype(np.float64)
    )


@pytest.mark.parametrize("apart", [1e-5, 1e-3, 0.1, 1.0, 3.0, 30.0])
@pytest.mark.parametrize("vocab", [7, 50304])
def test_jensen_shannon_agrees_with_extended_precision(apart, vocab):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 3, vocab)) * 2 + apart * rng.normal(size=(3, 3, vocab))
    logits = logits.astype(np.float32)
    js = np.asarray(divergence.pairwise_js(logits))
    assert (js >= 0).all()
    assert (js <= np.float32(np.log(2))).all()
    np.testing.assert_array_equal(js, js.swapaxes(0, 1))
    for i, j in itertools.combinations(range(3), 2):
        np.testing.assert_allclose(js[i, j], exact_js(logits[i], logits[j]), rtol=2e-5)


def test_jensen_shannon_is_the_mean_divergence_from_the_mixture():
    p = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    m = p.mean(0)
    expected = (p * np.log(p / m)).sum() / 2
    assert np.asarray(divergence.pairwise_js(np.log(p)))[0, 1] == pytest.approx(expected, rel=1e-5)


def test_disjoint_seeds_are_a_bit_apart():
    logits = jnp.log(jnp.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]))
    assert np.asarray(divergence.pairwise_js(logits))[0, 1] == pytest.approx(np.log(2), rel=1e-6)


def test_a_close_pair_among_far_seeds():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4, 2, 50304)) * 3
    logits[1] = logits[0] + 1e-4 * rng.normal(size=logits[0].shape)
    assert_matches(logits.astype(np.float32))


def test_diagonal_is_zero_and_shift_invariant():
    logits = np.random.default_rng(2).normal(size=(3, 5, 101)).astype(np.float32)
    kl = np.asarray(divergence.pairwise_kl(logits))
    assert (kl[np.arange(3), np.arange(3)] == 0).all()
    shifted = divergence.pairwise_kl(logits + np.float32([[[1.0]], [[-2.0]], [[4.0]]]))
    np.testing.assert_allclose(shifted, kl, rtol=1e-4)


def test_impossible_tokens_contribute_nothing():
    narrow = jnp.log(jnp.array([0.5, 0.5, 0.0]))
    wide = jnp.log(jnp.array([0.25, 0.5, 0.25]))
    kl = divergence.pairwise_kl(jnp.stack([narrow, wide]))
    np.testing.assert_allclose(kl[0, 1], 0.5 * np.log(2), rtol=1e-6)
    assert np.isinf(kl[1, 0])  # what is possible under p must be possible under q


def test_gaussian_logits_have_kl_of_their_variance():
    """Two seeds of N(0, s) logits: KL = s as V grows (SCIENCE: 0.4 at step 0 of Pythia)."""
    logits = np.random.default_rng(3).normal(size=(2, 8, 50304)).astype(np.float32) * 0.4**0.5
    assert np.asarray(divergence.pairwise_kl(logits))[0, 1].mean() == pytest.approx(0.4, rel=0.02)


CONFIG = gpt_neox.Config(
    hidden_size=24,
    num_layers=2,
    num_heads=3,
    intermediate_size=29,
    vocab_size=101,
    max_positions=32,
)


@functools.cache
def seeds(count, config=CONFIG):
    init = jax.jit(jax.vmap(lambda seed: gpt_neox.init(jax.random.key(seed), config)))
    return init(jnp.arange(count))


def test_fused_pass_equals_whole_logits(monkeypatch):
    params, tokens = seeds(3), np.random.default_rng(0).integers(0, 101, (5, 11)).astype(np.int32)
    documents, unigram = np.array([4, 4, 7, 9, 7]), jax.nn.log_softmax(jnp.arange(101.0) / 50)
    monkeypatch.setitem(
        divergence._CHUNK_FLOATS, "cpu", 101 * 3 * 8
    )  # several chunks, the last one padded
    divergence._fused.cache_clear()
    numbers = divergence.seed_divergence(
        CONFIG, params, tokens, documents=documents, log_unigram=unigram, full=True
    )
    divergence._fused.cache_clear()
    logits = jax.jit(jax.vmap(models.apply_fn(CONFIG), (0, None)))(params, tokens[:, :-1])
    log_p = jax.nn.log_softmax(logits)
    pairs = divergence.pairwise_kl(log_p)
    close = {"rtol": 2e-4, "atol": 1e-6}
    np.testing.assert_allclose(numbers["kl_pairs"], pairs, **close)
    np.testing.assert_allclose(numbers["kl"], pairs.sum((0, 1)) / 6, **close)
    surprisal = -np.take_along_axis(np.asarray(log_p), tokens[None, :, 1:, None], -1)[..., 0]
    np.testing.assert_allclose(numbers["surprisal"], surprisal, **close)
    js = divergence.pairwise_js(log_p)
    np.testing.assert_allclose(numbers["js_pairs"], js, **close)
    np.testing.assert_allclose(numbers["js"], js.sum((0, 1)) / 6, **close)
    entropy = -(np.exp(log_p) * log_p).sum(-1)
    reference = (np.exp(log_p) * (log_p - np.asarray(unigram)[None, None, None])).sum(-1)
    whole = {
        "kl": pairs,
        "js": js,
        "surprisal": surprisal,
        "entropy": entropy,
        "kl_unigram": reference,
    }
    for name, value in {**whole, "kl_uniform": np.log(101) - entropy}.items():
        of_seven = np.asarray(value)[..., [2, 4], :].mean((-2, -1))
        np.testing.assert_allclose(numbers[f"{name}_documents"][..., 1], of_seven, **close)
    assert numbers["document_tokens"].tolist() == [20, 20, 10]
    np.testing.assert_allclose(numbers["max_logit"], np.abs(logits).max((1, 2, 3)), rtol=1e-5)


def test_blocks_change_nothing(monkeypatch):
    params, tokens = seeds(3), np.random.default_rng(5).integers(0, 101, (7, 11)).astype(np.int32)
    documents = np.array([0, 0, 1, 1, 1, 2, 0])
    whole = divergence.seed_divergence(CONFIG, params, tokens, documents=documents)
    monkeypatch.setitem(
        divergence._BLOCK_TOKENS, "cpu", 33
    )  # three windows at once, the last block padded
    for name, value in divergence.seed_divergence(
        CONFIG, params, tokens, documents=documents
    ).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-4, atol=1e-7, err_msg=name)


def test_devices_change_nothing(monkeypatch):
    """Windows shared out over two devices, one more on the first, and on one device alone."""
    assert jax.local_device_count() == 2
    params, tokens = seeds(3), np.random.default_rng(6).integers(0, 101, (5, 11)).astype(np.int32)
    shared_out = divergence.seed_divergence(CONFIG, params, tokens, full=True)
    with monkeypatch.context() as one:
        one.setattr(jax, "local_device_count", lambda: 1)
        alone = divergence.seed_divergence(CONFIG, params, tokens, full=True)
    for name, value in alone.items():
        np.testing.assert_allclose(shared_out[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


def one_at_a_time(config, params, tokens):
    """Logits [S,B,P,V] of seeds that read each window token by token, and see none beyond."""
    read_on, unembed = models.continue_fn(config), models.unembed_fn(config)

    @jax.jit
    def step(params, memory, column, place):
        def of_seed(params, memory):
            h, memory = read_on(params, column[:, None], memory, place)
            return unembed(params, h[:, 0]), memory

        return jax.vmap(of_seed)(params, memory)

    empty = models.empty_memory(config, len(tokens), tokens.shape[1] - 1)
    memory, logits = jax.tree.map(lambda x: jnp.stack([x] * 3), empty), []
    for place in range(tokens.shape[1] - 1):
        of_place, memory = step(params, memory, tokens[:, place], place)
        logits.append(of_place)
    return jnp.stack(logits, axis=2)


@pytest.mark.parametrize("positions", [64, 8])
def test_prefixes_are_what_one_token_at_a_time_gives(positions, monkeypatch):
    """Ragged documents, padded and grouped by length; with 8 positions they are read on in parts.

    Each is computed again by models that read token by token and have seen nothing after it.
    """
    monkeypatch.setitem(divergence._BLOCK_TOKENS, "cpu", 96)  # blocks of several lengths
    config, rng = dataclasses.replace(CONFIG, max_positions=positions), np.random.default_rng(7)
    documents = [rng.integers(0, 101, n).astype(np.int32) for n in (3, 40, 1, 23, 2, 19, 21, 24)]
    text = windows.prefixes(documents, positions)
    params = seeds(3, config)
    numbers = divergence.seed_divergence(
        config, params, text.tokens, documents=text.document, scored=text.scored
    )
    assert np.array_equal(np.isfinite(numbers["kl"]), text.scored)
    assert numbers["document_tokens"].tolist() == [2, 39, 22, 1, 18, 20, 23]

    logits = one_at_a_time(config, params, text.tokens)
    kl = np.asarray(divergence.pairwise_kl(logits)).sum((0, 1))[text.scored] / 6
    np.testing.assert_allclose(numbers["kl"][text.scored], kl, rtol=1e-5, atol=1e-9)
    log_p = np.asarray(jax.nn.log_softmax(logits))
    surprisal = -np.take_along_axis(log_p, text.tokens[None, :, 1:, None], -1)[..., 0]
    np.testing.assert_allclose(
        numbers["surprisal"][:, text.scored], surprisal[:, text.scored], rtol=1e-5
    )
    by_document = [kl[text.owners == owner].mean() for owner in (0, 1, 3, 4, 5, 6, 7)]
    pairs = numbers["kl_documents"].sum((0, 1)) / 6
    np.testing.assert_allclose(pairs, by_document, rtol=1e-5)


def test_a_window_of_which_nothing_is_scored_is_refused():
    tokens, scored = np.zeros((2, 4), np.int32), np.array([[1, 1, 0], [0, 0, 0]], bool)
    with pytest.raises(InputError, match="a window of which nothing is scored"):
        divergence.seed_divergence(CONFIG, seeds(2), tokens, scored=scored)


_MEASURE = """
import sys
import jax, numpy as np
from dynamics.measures import divergence
from dynamics.models import gpt_neox
config = gpt_neox.Config(
    hidden_size=128, num_layers=1, num_heads=2, intermediate_size=16, vocab_size=2048
)
own = [gpt_neox.init(jax.random.key(seed), config) for seed in range(2)]
params = jax.tree.map(lambda *leaves: np.stack(leaves), *own)
tokens = np.random.default_rng(0).integers(0, 2048, (int(sys.argv[1]) // 128, 129)).astype(np.int32)
documents = np.arange(len(tokens)) // 8
numbers = divergence.seed_divergence(config, params, tokens, documents=documents)
assert numbers["kl"].size == tokens[:, 1:].size
# Not getrusage: its peak is that of the parent, where that was the greater.
(peak,) = (line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(peak)
"""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_does_not_grow_with_tokens():
    """From 10k to 100k tokens memory grows by no more than what is returned.

    All windows at once would take 560 MB more.
    """

    def peak(tokens: int) -> int:
        command = [sys.executable, "-c", _MEASURE, str(tokens)]
        return 1024 * int(
            subprocess.run(command, capture_output=True, check=True, text=True).stdout
        )

    few, many = peak(10_240), peak(102_400)
    # Two floats and two seeds' surprisals of a token; beyond them two processes that do the same
    # differ by up to 80 MB.
    assert many - few < 16 * 92_160 + 200e6


@pytest.mark.parametrize(
    "width",
    [64, pytest.param(128, marks=pytest.mark.long), pytest.param(512, marks=pytest.mark.long)],
)
def test_pythia_initialisation_has_seed_kl_of_two_fifths(width):
    config = gpt_neox.Config(
        hidden_size=width,
        num_layers=2,
        num_heads=4,
        intermediate_size=4 * width,
        vocab_size=8192,
        max_positions=64,
    )
    tokens = np.random.default_rng(0).integers(0, 8192, (4, 33)).astype(np.int32)
    numbers = divergence.seed_divergence(config, seeds(3, config), tokens)
    assert numbers["kl"].mean() == pytest.approx(0.4, rel=0.02)
    assert numbers["kl_uniform_documents"].mean() == pytest.approx(0.2, rel=0.02)


def test_one_compilation_for_every_checkpoint(monkeypatch):
    tokens, traced, statistics = np.zeros((2, 9), np.int32), [], divergence.statistics

    def counted(*arguments):
        traced.append(arguments)
        return statistics(*arguments)

    monkeypatch.setattr(divergence, "statistics", counted)
    divergence._fused.cache_clear()
    counts = []
    for step in range(3):
        params = jax.tree.map(lambda p, s=step: (1 + s) * np.asarray(p), seeds(3))
        divergence.seed_divergence(CONFIG, params, tokens)
        counts.append(len(traced))
    divergence._fused.cache_clear()
    assert counts[0] == counts[2] > 0


def test_weights_that_are_not_finite_are_refused_by_leaf():
    params = {name: dict(leaves) for name, leaves in seeds(3).items()}
    kernel = np.array(params["unembed"]["kernel"])
    kernel[2, 0, 0] = np.nan  # one number of the last seed
    params["unembed"]["kernel"] = kernel
    with pytest.raises(InputError, match=r"params in 1 of \d+ leaves \(unembed/kernel\)"):
        divergence.seed_divergence(CONFIG, params, np.zeros((1, 5), np.int32))


def test_one_seed_is_refused():
    with pytest.raises(InputError, match="two or more"):
        divergence.seed_divergence(
            CONFIG, jax.tree.map(lambda p: p[:1], seeds(3)), np.zeros((1, 5), np.int32)
        )
    with pytest.raises(InputError, match="two or more"):
        divergence.pairwise_kl(jnp.zeros((1, 5)))

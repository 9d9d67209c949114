"""Synthetic text whose every next-token distribution is known, so that the truth can be measured.

It comes from a hidden Markov model: a topic that lasts, and a class of words that moves on with
every token. What a token is depends on both, so there is something to learn at three ranges: how
frequent tokens are (unigram), which class follows which (the last few tokens), and which topic this
is (all tokens so far). One more state, the separator's, ends a document, so that the stream of
documents is one stationary process, wherever a window is cut out of it.

Axes: M hidden states (the separator's first), V tokens (the separator first), W windows, T tokens
of a window, P = T-1 predictions.
"""

import dataclasses
import functools
import string
from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import tokenizers
from jaxtyping import Array, ArrayLike, Float, Int
from tokenizers import Tokenizer

from dynamics import inputs
from dynamics.data.corpus import Corpus, Document
from dynamics.data.tokenizer import SEPARATOR
from dynamics.errors import InputError

LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits + "."  # 63, a token each

_SIZE = inputs.Whole(1, 100_000)


class HMM(NamedTuple):
    """A hidden Markov model: state t emits token t, and then moves."""

    transition: Float[np.ndarray, "M M"]  # rows sum to one
    # Rows sum to one. Every token is possible in some state, so no divergence from the truth is
    # infinite.
    emission: Float[np.ndarray, "M V"]
    stationary: Float[np.ndarray, " M"]  # the left eigenvector of `transition`

    @property
    def unigram(self) -> Float[np.ndarray, " V"]:
        """The frequencies of tokens in the stationary stream."""
        return self.stationary @ self.emission


@dataclasses.dataclass(frozen=True, kw_only=True)
class Process:
    """The numbers that a hidden Markov model of text is drawn with."""

    topics: int = 6
    classes: int = 7
    stay: float = 1 - 1 / 64  # probability that the topic stays the same for the next token
    document: int = 256  # mean tokens of a document, the separator among them
    # Shape of the gamma draws of class transitions: the smaller, the fewer classes follow each.
    concentration: float = 0.5
    # Standard deviation, between topics, of a token's log frequency within its class.
    tilt: float = 1.2
    background: float = 0.03  # share of tokens that come from any class
    seed: int = 0

    def __post_init__(self):
        for field in ("topics", "classes", "document"):
            _SIZE.check(getattr(self, field), f"{field} ")
        # A matrix of all pairs of states is held.
        inputs.Whole(1, 10_000).check(self.topics * self.classes, "topics times classes ")
        if not 0 < self.background <= 1:
            raise InputError(
                f"background {self.background}", expected="above 0: no token may be impossible"
            )


def hmm_of(transition: Float[ArrayLike, "M M"], emission: Float[ArrayLike, "M V"]) -> HMM:
    """A hidden Markov model with its stationary distribution.

    Raises:
        InputError: rows that are not distributions.

    Example:
        >>> hmm = hmm_of([[0.5, 0.5], [0.25, 0.75]], [[1.0, 0.0], [0.0, 1.0]])
        >>> hmm.stationary.round(4).tolist()  # (1, 2) / 3
        [0.3333, 0.6667]
    """
    transition, emission = np.asarray(transition, np.float64), np.asarray(emission, np.float64)
    chex.assert_shape(transition, (len(emission), len(emission)))
    for name, rows in (("transition", transition), ("emission", emission)):
        if (rows < 0).any() or not np.allclose(rows.sum(-1), 1, atol=1e-9):
            raise InputError(
                f"{name} rows that are no distributions", expected="numbers from 0 that sum to one"
            )
    # pi (A - 1) = 0 with sum pi = 1: least squares of a consistent system.
    equations = np.vstack([transition.T - np.eye(len(transition)), np.ones(len(transition))])
    solution = np.linalg.lstsq(equations, np.eye(len(transition) + 1)[-1], rcond=None)[0]
    stationary = np.maximum(solution, 0)
    return HMM(transition, emission, stationary / stationary.sum())


@functools.cache
def draw_hmm(process: Process = Process()) -> HMM:
    """The hidden Markov model that `process` draws.

    Token frequencies follow Zipf's law within each class and, nearly, over all tokens.

    Example:
        >>> hmm = draw_hmm()
        >>> hmm.transition.shape, hmm.emission.shape  # 6 topics of 7 classes, and the separator
        ((43, 43), (43, 64))
    """
    rng, tokens = np.random.default_rng(process.seed), len(LETTERS)
    zipf = rng.permutation(1 / np.arange(1, tokens + 1))
    home = rng.permutation(np.arange(tokens) % process.classes)
    tilted = zipf * np.exp(process.tilt * rng.standard_normal((process.topics, tokens)))
    of_class = np.where(home == np.arange(process.classes)[:, None], 1.0, 0.0)
    own = of_class * tilted[:, None]  # [topics,classes,tokens]
    own = (1 - process.background) * own / own.sum(-1, keepdims=True)
    own = own + process.background * zipf / zipf.sum()
    # A class follows others the more often, the more frequent its tokens are.
    first = np.bincount(home, zipf) / zipf.sum()
    following = first * (
        rng.gamma(process.concentration, size=(process.classes, process.classes)) + 0.01
    )
    following /= following.sum(-1, keepdims=True)
    topic = (1 - process.stay) / process.topics + process.stay * np.eye(process.topics)
    ends = 1 / process.document
    inner = np.einsum("xy,cd->xcyd", topic, following).reshape(process.topics * process.classes, -1)
    entry = np.tile(first, process.topics) / process.topics
    transition = np.pad((1 - ends) * np.vstack([entry, inner]), [(0, 0), (1, 0)])
    transition[:, 0] = ends
    emission = np.zeros((1 + process.topics * process.classes, tokens + 1))
    emission[1:, 1:] = own.reshape(-1, tokens)
    emission[0, 0] = 1.0
    return hmm_of(transition, emission)


def sample(
    hmm: HMM, rng: np.random.Generator, state: Int[np.ndarray, " W"], length: int
) -> Int[np.ndarray, "W T"]:
    """Windows of `length` tokens whose first tokens are emitted in the hidden states `state`."""
    moves, emits = np.cumsum(hmm.transition, axis=1), np.cumsum(hmm.emission, axis=1)
    tokens = np.empty((len(state), length), np.int32)
    for t in range(length):
        tokens[:, t] = _draw(emits[state], rng)
        state = _draw(moves[state], rng)
    return tokens


def windows(hmm: HMM, count: int, length: int, seed: int) -> Int[np.ndarray, "W T"]:
    """Independent windows of the stationary stream: W = count, T = length.

    Example:
        >>> windows(draw_hmm(), count=3, length=5, seed=0).shape
        (3, 5)
    """
    rng = np.random.default_rng(seed)
    states = rng.choice(len(hmm.stationary), size=count, p=hmm.stationary)
    return sample(hmm, rng, states, length)


def log_predictive(hmm: HMM, tokens: Int[ArrayLike, "W T"]) -> Float[Array, "W P V"]:
    """ln p(s_t | s_0 .. s_{t-1}) for windows of the stationary stream, exact, nats.

    The forward algorithm (Rabiner 1989, section III.A), normalised at every token.

    Example:
        >>> hmm = draw_hmm()
        >>> log_p = log_predictive(hmm, windows(hmm, count=3, length=5, seed=0))
        >>> log_p.shape, bool(abs(np.exp(log_p).sum(-1) - 1).max() < 1e-4)
        ((3, 4, 64), True)
    """
    chex.assert_rank(tokens, 2)
    return _forward(*(jnp.asarray(x, jnp.float32) for x in hmm), jnp.asarray(tokens, jnp.int32))


@jax.jit
def _forward(transition, emission, stationary, tokens):
    with jax.default_matmul_precision("highest"):
        # The state [W,M] is the distribution of the hidden state before the token is seen.
        def read(state, token):
            seen = state * emission[:, token].T
            state = (seen / seen.sum(-1, keepdims=True)) @ transition
            return state, jnp.log(state @ emission)

        start = jnp.broadcast_to(stationary, (tokens.shape[0], stationary.shape[0]))
        _, predicted = jax.lax.scan(read, start, tokens[:, :-1].T)
        return predicted.swapaxes(0, 1)


@functools.cache
def corpus(documents: int = 3000, process: Process = Process()) -> Corpus:
    """Documents of the process, one letter per token, without their separators.

    The default is about 770,000 tokens.

    Example:
        >>> toy = corpus(documents=2)
        >>> [document.name for document in toy.documents]
        ['document/0', 'document/1']
    """
    hmm = draw_hmm(process)
    rng = np.random.default_rng([process.seed, 1])
    moves, emits = np.cumsum(hmm.transition, axis=1), np.cumsum(hmm.emission, axis=1)
    texts: list[list[int]] = [[] for _ in range(documents)]
    going = np.arange(documents)  # indices of the documents that have not ended
    state = _draw(moves[np.zeros(documents, int)], rng)
    while going.size:
        inside = state > 0
        going, state = going[inside], state[inside]
        for index, token in zip(going.tolist(), _draw(emits[state], rng).tolist(), strict=True):
            texts[index].append(token)
        state = _draw(moves[state], rng)
    named = (Document(f"document/{k}", "synthetic", _written(ids)) for k, ids in enumerate(texts))
    return Corpus("synthetic", tuple(named))


def tokenizer() -> Tokenizer:
    """One token per letter; id 0 is the separator."""
    vocabulary = {SEPARATOR: 0} | {letter: 1 + k for k, letter in enumerate(LETTERS)}
    letters = Tokenizer(tokenizers.models.BPE(vocabulary, []))
    letters.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    letters.decoder = tokenizers.decoders.ByteLevel()
    letters.add_special_tokens([SEPARATOR])
    return letters


def _written(ids: Sequence[int]) -> str:
    return "".join(LETTERS[token - 1] for token in ids)


def _draw(cumulative: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One outcome of each row's distribution, from cumulative rows [W,n]."""
    outcomes = (rng.random((len(cumulative), 1)) >= cumulative).sum(-1)
    return np.minimum(outcomes, cumulative.shape[1] - 1)  # the last sum may round below one

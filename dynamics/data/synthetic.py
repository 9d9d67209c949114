"""Text from a process whose every next-token distribution is known, so that models can be held to
the truth.

A hidden Markov chain: a topic that lasts, and a class of words that moves on with every token. What
a token is depends on both, so there is something to learn at three ranges: how frequent tokens are
(unigram), which class follows which (the last few tokens), and which topic this is (all tokens so
far). One more state, the separator's, ends a document, so that the stream of documents is one
stationary chain, wherever a window is cut out of it.

Axes: M hidden states (the separator's first), V tokens (the separator first), W windows, T tokens
of a window, P = T-1 predictions, D documents.
"""

import dataclasses
import functools
import string
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tokenizers
from tokenizers import Tokenizer

from dynamics.data.corpus import Corpus, Document
from dynamics.data.tokenizer import SEPARATOR
from dynamics.errors import InputError

LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits + "."  # 63, a token each


class Chain(NamedTuple):
    """A hidden Markov chain: state t emits token t, and then moves."""

    transition: np.ndarray  # [M,M], rows sum to one
    emission: (
        np.ndarray
    )  # [M,V], rows sum to one; positive, so that no divergence from it is infinite
    stationary: np.ndarray  # [M], the left eigenvector of `transition`

    @property
    def unigram(self) -> np.ndarray:
        """[V], how frequent tokens are."""
        return self.stationary @ self.emission


@dataclasses.dataclass(frozen=True, kw_only=True)
class Process:
    """The numbers that the chain is drawn with."""

    topics: int = 6
    classes: int = 7
    stay: float = 1 - 1 / 64  # chance that a token keeps the topic
    document: int = 256  # mean tokens of a document, the separator with them
    concentration: float = (
        0.5  # of the gamma draws of which class follows which: the smaller, the fewer do
    )
    tilt: float = (
        1.2  # standard deviation, between topics, of a token's log frequency within its class
    )
    background: float = 0.03  # share of tokens that come from any class
    seed: int = 0

    def __post_init__(self):
        for field in ("topics", "classes", "document"):
            if getattr(self, field) < 1:
                raise InputError(f"{field} {getattr(self, field)}", expected="1 or more")
        if not 0 < self.background <= 1:
            raise InputError(
                f"background {self.background}", expected="above 0: no token may be impossible"
            )


def chain_of(transition, emission) -> Chain:
    """A chain with its stationary distribution. Raises InputError unless all rows are
    distributions."""
    transition, emission = np.asarray(transition, np.float64), np.asarray(emission, np.float64)
    for name, rows in (("transition", transition), ("emission", emission)):
        if (rows < 0).any() or not np.allclose(rows.sum(-1), 1, atol=1e-9):
            raise InputError(
                f"{name} rows that are no distributions", expected="numbers from 0 that sum to one"
            )
    # pi (A - 1) = 0 with sum pi = 1: least squares of a consistent system.
    equations = np.vstack([transition.T - np.eye(len(transition)), np.ones(len(transition))])
    stationary = np.linalg.lstsq(equations, np.eye(len(transition) + 1)[-1], rcond=None)[0]
    return Chain(transition, emission, np.maximum(stationary, 0) / np.maximum(stationary, 0).sum())


@functools.cache
def chain(process: Process = Process()) -> Chain:
    """The chain of `process`: token frequencies follow Zipf's law, within classes and, nearly, over
    all."""
    rng, tokens = np.random.default_rng(process.seed), len(LETTERS)
    zipf = rng.permutation(1 / np.arange(1, tokens + 1))
    home = rng.permutation(np.arange(tokens) % process.classes)
    tilted = zipf * np.exp(process.tilt * rng.standard_normal((process.topics, tokens)))
    own = (
        np.where(home == np.arange(process.classes)[:, None], 1.0, 0.0) * tilted[:, None]
    )  # [topics,classes,tokens]
    own = (1 - process.background) * own / own.sum(
        -1, keepdims=True
    ) + process.background * zipf / zipf.sum()
    # Classes are followed by others the more often the more frequent their tokens are.
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
    return chain_of(transition, emission)


def sample(process: Chain, rng: np.random.Generator, state: np.ndarray, length: int) -> np.ndarray:
    """Tokens [W,length] of chains that stand in `state` [W] at the first."""
    moves, tokens = np.cumsum(process.transition, axis=1), np.cumsum(process.emission, axis=1)
    found = np.empty((len(state), length), np.int32)
    for t in range(length):
        found[:, t] = _draw(tokens[state], rng)
        state = _draw(moves[state], rng)
    return found


def windows(process: Chain, count: int, length: int, seed: int) -> np.ndarray:
    """Independent windows [W,T] of the stationary stream."""
    rng = np.random.default_rng(seed)
    return sample(
        process, rng, rng.choice(len(process.stationary), size=count, p=process.stationary), length
    )


def log_predictive(process: Chain, tokens) -> jax.Array:
    """ln p(s_t | s_0 .. s_{t-1}) of every token, exactly, for windows [W,T] of the stationary
    stream: [W,P,V], nats.

    The forward algorithm (Rabiner 1989, section III.A), normalised at every token.
    """
    return _forward(*(jnp.asarray(x, jnp.float32) for x in process), jnp.asarray(tokens, jnp.int32))


@jax.jit
def _forward(transition, emission, stationary, tokens):
    with jax.default_matmul_precision("highest"):

        def read(state, token):  # state [W,M]: of the hidden state before the token is seen
            seen = state * emission[:, token].T
            state = (seen / seen.sum(-1, keepdims=True)) @ transition
            return state, jnp.log(state @ emission)

        start = jnp.broadcast_to(stationary, (tokens.shape[0], stationary.shape[0]))
        _, predicted = jax.lax.scan(read, start, tokens[:, :-1].T)
        return predicted.swapaxes(0, 1)


@functools.cache
def corpus(documents: int = 3000, process: Process = Process()) -> Corpus:
    """Documents of the process, one letter per token, without their separators: about 770,000
    tokens."""
    known = chain(process)
    rng = np.random.default_rng([process.seed, 1])
    texts: list[list[np.ndarray]] = [[] for _ in range(documents)]
    going, state = (
        np.arange(documents),
        _draw(np.cumsum(known.transition[np.zeros(documents, int)], axis=1), rng),
    )
    moves, tokens = np.cumsum(known.transition, axis=1), np.cumsum(known.emission, axis=1)
    while going.size:
        inside = state > 0
        going, state = going[inside], state[inside]
        for index, token in zip(going.tolist(), _draw(tokens[state], rng).tolist(), strict=True):
            texts[index].append(token)
        state = _draw(moves[state], rng)
    named = (Document(f"document/{k}", "synthetic", _written(ids)) for k, ids in enumerate(texts))
    return Corpus("synthetic", tuple(named))


def tokenizer() -> Tokenizer:
    """One token per letter; id 0 is the separator."""
    vocabulary = {SEPARATOR: 0} | {letter: 1 + k for k, letter in enumerate(LETTERS)}
    made = Tokenizer(tokenizers.models.BPE(vocabulary, []))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens([SEPARATOR])
    return made


def _written(ids) -> str:
    return "".join(LETTERS[token - 1] for token in ids)


def _draw(cumulative: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One outcome of each row's distribution, from cumulative rows [W,n]."""
    drawn = (rng.random((len(cumulative), 1)) >= cumulative).sum(-1)
    return np.minimum(drawn, cumulative.shape[1] - 1)  # the last sum may round to less than one

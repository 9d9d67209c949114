"""Next-byte distributions against enumeration, and against tokens that are one byte each."""

import functools
import itertools
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import models
from dynamics.data import spelling, tokenizer
from dynamics.errors import InputError
from dynamics.measures import byte_lookup, divergence, next_byte
from dynamics.models import gpt_neox

# Nested tokens, two that spell the same, one that is all bytes of a text, one that spells nothing:
# id 0, the separator.
WORDS = [None, b"a", b"b", b"c", b"ab", b"abc", b"bc", b"ca", b"cab", b"ab", b"abcab"]
LETTERS = b"abc"
PYTHIA = Path(__file__).parents[3] / "shared" / "data" / "pythia_tokenizer.json"
TEXTS = [b"abcab", b"cabca", b"b"]


def greedy(text: bytes) -> list[int]:
    """A toy tokenizer: the longest token first, the lowest id of those that spell the same."""
    ids = []
    while text:
        fitting = [word for word in WORDS if word and text.startswith(word)]
        ids.append(WORDS.index(max(fitting, key=len)))
        text = text[len(WORDS[ids[-1]] or b"") :]
    return ids


def toy_lookup(texts=TEXTS) -> byte_lookup.ByteLookup:
    encodings = [[greedy(text[:end]) for end in range(len(text) + 1)] for text in texts]
    return byte_lookup.build(texts, encodings, WORDS, before=[0])


def tiny(vocab_size: int = len(WORDS), width: int = 16) -> gpt_neox.Config:
    return gpt_neox.Config(
        hidden_size=width,
        num_layers=1,
        num_heads=2,
        intermediate_size=32,
        vocab_size=vocab_size,
        max_positions=256,
    )


def params_of(config, seed: int):
    """A random model whose distributions are far from uniform."""
    params = jax.jit(models.init, static_argnums=1)(jax.random.key(seed), config)
    return {**params, "unembed": {"kernel": 4 * params["unembed"]["kernel"]}}


def conditional(config, params):
    """p(. | ids) [V] in float64, one context at a time."""
    apply = jax.jit(models.apply_fn(config))

    def p(ids) -> np.ndarray:
        logits = np.asarray(apply(params, jnp.asarray([[0, *ids]], jnp.int32))[0, -1], np.float64)
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()

    return p


def enumerated(p, text: bytes, canonical: bool) -> float:
    """P(text is a prefix), by walking every sequence of tokens that covers it."""
    total, open_ends = 0.0, [(b"", [], 1.0)]
    if not text:
        return 1.0
    while open_ends:
        read, ids, mass = open_ends.pop()
        for token, q in enumerate(p(greedy(read))):
            word = WORDS[token]
            if not word:
                continue
            spelled = read + word
            if spelled[: len(text)] == text:
                total += mass * q
            goes_on = len(spelled) < len(text) and text.startswith(spelled)
            if goes_on and (not canonical or [*ids, token] == greedy(spelled)):
                open_ends.append((spelled, [*ids, token], mass * q))
    return total


@pytest.mark.parametrize("canonical", [False, True])
def test_equals_enumeration_of_every_cover(canonical):
    config = tiny()
    params = params_of(config, 1)
    next_bytes = next_byte.next_byte_fn(config, canonical)(params, toy_lookup())
    p = conditional(config, params)
    for g, text in enumerate(TEXTS):
        for n in range(len(text)):
            prefix = text[:n]
            assert math.exp(next_bytes.log_prefix[g, n]) == pytest.approx(
                enumerated(p, prefix, canonical), rel=2e-5
            )
            mass = np.array([enumerated(p, prefix + bytes([b]), canonical) for b in LETTERS])
            if canonical:
                reached = math.exp(next_bytes.log_boundary[g, n])
                assert reached == pytest.approx(_of_ids(p, greedy(prefix)), rel=2e-5)
                end = reached * p(greedy(prefix))[0]
            else:
                end = enumerated(p, prefix, canonical) - mass.sum()
            expected = np.array([*mass, end]) / (mass.sum() + end)
            got = np.exp(np.asarray(next_bytes.log_probs[g, n, [*LETTERS, next_byte.END]]))
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-9)


def _of_ids(p, ids) -> float:
    return math.prod(p(ids[:k])[token] for k, token in enumerate(ids))


def test_a_model_that_never_leaves_the_tokenizers_path_has_both_distributions():
    """Dropping tokens off the path changes nothing where they have no probability."""
    lookup = toy_lookup()
    contexts = {(g, m): TEXTS[g][:m] for g in range(3) for m in range(len(TEXTS[g]))}
    table = np.full((*lookup.valid.shape, len(WORDS)), 1 / len(WORDS), np.float32)
    rng = np.random.default_rng(2)
    for place, read in contexts.items():
        canonical_tokens = [
            t == 0 or [*greedy(read), t] == greedy(read + (WORDS[t] or b""))
            for t in range(len(WORDS))
        ]
        weights = rng.exponential(size=len(WORDS)) * canonical_tokens
        table[place] = weights / weights.sum()
    flat = jnp.asarray(table.reshape(-1, len(WORDS)))
    read = jax.jit(functools.partial(next_byte.from_contexts, lambda p: p), static_argnums=2)
    both = [read(flat, lookup, canonical) for canonical in (False, True)]
    for all_covers, canonical_covers in zip(*both, strict=True):
        np.testing.assert_allclose(
            all_covers[lookup.valid], canonical_covers[lookup.valid], rtol=1e-5, atol=1e-6
        )


def test_next_bytes_multiply_to_the_string_and_sum_to_one():
    config = tiny()
    next_bytes = next_byte.next_byte_fn(config)(params_of(config, 3), toy_lookup())
    np.testing.assert_allclose(
        np.exp(next_bytes.log_probs)[toy_lookup().valid].sum(-1), 1, rtol=1e-6
    )
    for g, text in enumerate(TEXTS):
        steps = [float(next_bytes.log_probs[g, n, byte]) for n, byte in enumerate(text)]
        np.testing.assert_allclose(
            next_bytes.log_prefix[g, 1 : len(text)], np.cumsum(steps)[:-1], rtol=1e-5, atol=1e-6
        )


def test_no_byte_is_lost_at_boundaries():
    """Over all strings of three letters, with those that end sooner, probabilities sum to one."""
    config = tiny()
    params = params_of(config, 4)
    texts = [bytes(letters) for letters in itertools.product(LETTERS, repeat=3)]
    next_bytes = next_byte.next_byte_fn(config)(params, toy_lookup(texts))
    total = 0.0
    for g, text in enumerate(texts):
        logs = np.asarray(next_bytes.log_probs[g], np.float64)
        total += math.exp(sum(logs[n, byte] for n, byte in enumerate(text)))
    ended = {}
    for g, text in enumerate(texts):
        for n in range(3):
            ended[text[:n]] = math.exp(
                next_bytes.log_prefix[g, n] + next_bytes.log_probs[g, n, next_byte.END]
            )
    assert total + sum(ended.values()) == pytest.approx(1, rel=1e-5)


@pytest.mark.long
def test_is_the_token_divergence_where_every_token_is_a_byte():
    config = tiny(vocab_size=257)
    words = [None, *(bytes([byte]) for byte in range(256))]
    text = b"naive \xc3\xa9"
    encodings = [[[1 + byte for byte in text[:end]] for end in range(len(text) + 1)]]
    lookup = byte_lookup.build([text], encodings, words, before=[0])
    seeds = [params_of(config, seed) for seed in (5, 6, 7)]
    kl, js = next_byte.compare(
        [next_byte.next_byte_fn(config)(params, lookup).log_probs for params in seeds]
    )
    ids = jnp.asarray([[0, *encodings[0][-1]]], jnp.int32)
    logits = jnp.stack([models.apply_fn(config)(params, ids)[:, :-1] for params in seeds])
    np.testing.assert_allclose(kl, divergence.pairwise_kl(logits), rtol=1e-4, atol=1e-6)
    assert (js <= math.log(2)).all()
    assert (js >= 0).all()
    p = np.exp(np.asarray(jax.nn.log_softmax(logits), np.float64))
    entropy = lambda q: -(q * np.log(q)).sum(-1)  # noqa: E731
    expected = entropy((p[:, None] + p[None]) / 2) - (entropy(p)[:, None] + entropy(p)[None]) / 2
    np.testing.assert_allclose(js, expected, rtol=1e-3, atol=1e-6)


def test_bytes_do_not_depend_on_how_ids_are_numbered():
    """Renaming a model's ids changes every array of the lookup, but no byte."""
    config = tiny()
    params = params_of(config, 8)
    order = np.array([0, 4, 3, 2, 1, 10, 9, 8, 7, 6, 5])
    renamed = [WORDS[old] for old in order]
    new = np.argsort(order)
    moved = {
        **params,
        "embed": {"embedding": params["embed"]["embedding"][order]},
        "unembed": {"kernel": params["unembed"]["kernel"][:, order]},
    }
    encodings = [
        [[int(new[t]) for t in greedy(text[:end])] for end in range(len(text) + 1)]
        for text in TEXTS
    ]
    lookup = byte_lookup.build(TEXTS, encodings, renamed, before=[0])
    log_probs = next_byte.next_byte_fn(config)(params, toy_lookup()).log_probs
    renumbered_log_probs = next_byte.next_byte_fn(config)(moved, lookup).log_probs
    np.testing.assert_allclose(log_probs, renumbered_log_probs, rtol=1e-4, atol=1e-5)


def test_prefixes_within_characters_are_encoded_as_the_tokenizer_would_go_on():
    text = "naïve “quotes” — 中文 😀\n    indented  twice"
    bpe = tokenizer.train([text * 30, "the cat sat on the mat " * 30], 300)
    words = spelling.token_bytes(bpe, 310)
    assert [words[0], *words[300:]] == [None] * 11
    assert sorted(word for word in words[1:257] if word) == [bytes([byte]) for byte in range(256)]
    encodings = spelling.encode_prefixes(bpe, text.encode(), words)
    for end, ids in enumerate(encodings):
        assert b"".join(words[index] or b"" for index in ids) == text.encode()[:end]
        with_rest = bpe.encode(text.encode()[:end].decode(errors="ignore")).ids
        if text.encode()[:end].decode(errors="ignore").encode() == text.encode()[:end]:
            assert ids == with_rest


@pytest.mark.skipif(not PYTHIA.is_file(), reason="Pythia's tokenizer is not here")
def test_pythias_tokenizer_spells_every_prefix():
    import tokenizers

    own = tokenizers.Tokenizer.from_file(str(PYTHIA))
    words = spelling.token_bytes(own, 50304)
    assert (
        sum(word is None for word in words) == 2 + 50304 - 50277
    )  # two special ids, and the padded rows
    assert words[50276] == b"  "  # added as it is, beside the alphabet of bytes
    text = "if x:\n        return “naïve” 'string'  # 中 😀".encode()
    encodings = spelling.encode_prefixes(own, text, words)
    assert all(
        b"".join(words[index] or b"" for index in ids) == text[:end]
        for end, ids in enumerate(encodings)
    )
    lookup = byte_lookup.build([text], [encodings], words, before=[0])
    # From a context that ends within a character its own token goes on: E2 80 before 9C in the
    # quotation mark.
    start = text.index("“".encode())
    assert any(encodings[start + 2][:-1] == encodings[m] for m in range(start - 1, start + 2))
    assert lookup.ahead.shape[:2] == (1, len(text))


def test_what_spells_no_bytes_is_told():
    import tokenizers

    pieces = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]")
    )
    with pytest.raises(InputError, match="byte-level BPE"):
        spelling.token_bytes(pieces, 10)
    bpe = tokenizer.train(["some text here"], 260)
    with pytest.raises(InputError, match="ids below 200"):
        spelling.token_bytes(bpe, 200)
    with pytest.raises(InputError, match="separator"):
        byte_lookup.build([b"a"], [[[], [1]]], WORDS, before=[])
    with pytest.raises(InputError, match="two or more"):
        next_byte.compare([np.zeros((1, 2, 257))])

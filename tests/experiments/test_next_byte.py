"""Models of different tokenizers compared byte by byte, from a toml file to the page."""

import dataclasses
import itertools
import json
import shutil

import jax
import job
import numpy as np
import pytest
import tokenizers
from absl import flags
from absl.testing import flagsaver

from dynamics import checkpoints, models, results, suite
from dynamics.data import byte_windows, corpus, tokenizer
from dynamics.data.corpus import Corpus, Document
from dynamics.errors import InputError
from dynamics.models import gpt_neox
from dynamics.study import Study
from experiments import next_byte as experiment


def save(folder, own: tokenizers.Tokenizer, seed: int, vocab_size: int):
    """A random model of this vocabulary with its tokenizer beside it."""
    config = gpt_neox.Config(
        hidden_size=16,
        num_layers=1,
        num_heads=2,
        intermediate_size=32,
        vocab_size=vocab_size,
        max_positions=128,
    )
    path = folder.with_suffix(".json")
    folder.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(own.to_str())
    init = jax.jit(models.init, static_argnums=1)
    checkpoints.save(folder, config, init(jax.random.key(seed), config), path)


@pytest.fixture(scope="module")
def two_tokenizers():
    texts = [document.text for document in corpus.embedded().train().documents[:60]]
    return [tokenizer.train(texts, size) for size in (300, 512)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory, two_tokenizers):
    """A folder with a toml suite whose seeds are a model of 300 ids and one of 512, the latter
    padded to 520 rows."""
    folder = tmp_path_factory.mktemp("saved")
    lines = ['name = "two-tokenizers"']
    for seed, (own, size) in enumerate(zip(two_tokenizers, (300, 520), strict=True)):
        save(folder / f"model{seed}", own, seed, size)
        lines += [
            "[[checkpoint]]",
            'model = "pair"',
            f"seed = {seed}",
            "step = 0",
            f'folder = "model{seed}"',
        ]
    (folder / "suite.toml").write_text("\n".join(lines))
    return folder


@pytest.fixture
def described(saved, tmp_path):
    """The suite's file in a copy that a test may damage."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    return tmp_path / "suite.toml"


@pytest.fixture
def study(described, tmp_path):
    documents = tuple(
        Document(f"name {k}", "text", f"def f{k}(x):\n    return 'naïve' + x\n" * 4)
        for k in range(30)
    )
    with flagsaver.flagsaver():
        flags.FLAGS(["test", "--byte_windows=6", "--byte_length=24"])
        yield Study(
            suite=suite.read(described),
            store=results.Store(tmp_path / "out"),
            read_corpus=lambda: Corpus("toy", documents),
        )


@pytest.mark.long
def test_two_vocabularies_are_compared_from_file_to_page(described, tmp_path, cache):
    out = tmp_path / "out"
    flags = (f"--suite={described}", "--byte_windows=10", "--byte_length=32")
    code, _, stderr = job.run("next_byte", *flags, cache=cache, out=out)
    assert code == 0, stderr
    ((name, data),) = job.numbers(out).items()
    assert name == "next_byte/pair/seed0-1/step0.nc"
    assert data["vocabulary"].values.tolist() == [300, 520]
    kl = data["kl"].values
    assert (kl[[0, 1], [1, 0]] > 1e-3).all()
    assert np.isfinite(kl).all()
    assert (kl[[0, 1], [0, 1]] == 0).all()
    js = data["js"].values
    assert (js <= np.minimum(kl, np.log(2)) + 1e-6).all()
    np.testing.assert_allclose(js, js.swapaxes(0, 1), rtol=1e-5)
    assert (data["surprisal_bytes"].values < data["surprisal"].values).all()
    code, _, stderr = job.run("report", f"--suite={described}", cache=cache, out=out)
    assert code == 0, stderr
    page = (out / "report" / "next_byte.html").read_text(encoding="utf-8")
    assert "Divergence of the next byte" in page
    assert "520" in page


@pytest.mark.long
def test_a_pair_is_what_enumerating_tokens_gives_for_the_first_byte(study):
    """Before any byte is read, a byte's probability is that of all tokens that begin with it."""
    (unit,) = experiment.experiments(study)[0].units
    data, sources = experiment.byte_divergence(study, unit)
    assert len(sources) == 2
    firsts = []
    for seed in (0, 1):
        source = study.suite.source("pair", seed, 0)
        checkpoint = checkpoints.load(*source)
        start = np.zeros((1, 1), np.int32)
        logits = jax.jit(models.apply_fn(checkpoint.config))(checkpoint.params, start)[0, 0]
        p = np.exp(np.asarray(jax.nn.log_softmax(logits), np.float64))
        own = tokenizer.load(checkpoints.find(*source))
        first = np.zeros(257)
        for piece, index in own.get_vocab().items():
            byte = ord(own.decoder.decode([piece])[0]) if piece != tokenizer.SEPARATOR else 256
            first[byte if byte < 128 or byte == 256 else 255] += p[
                index
            ]  # all that is no ASCII together
        first[256] += p[own.get_vocab_size() :].sum()
        firsts.append(first)
    shown = firsts[0] > 0
    coarse = float((firsts[0][shown] * np.log(firsts[0][shown] / firsts[1][shown])).sum())
    # By the chain rule what tells fewer outcomes apart diverges less, and ASCII has most of the
    # mass.
    measured = float(data["kl_byte"][0, 0])
    other = float((firsts[1][shown] * np.log(firsts[1][shown] / firsts[0][shown])).sum())
    assert measured > (coarse + other) / 2
    assert data["kl_byte"].shape == (6, 24)


@pytest.mark.long
def test_surprisal_is_that_of_the_tokens_and_sums_over_a_document(study):
    (unit,) = experiment.experiments(study)[0].units
    data, _ = experiment.byte_divergence(study, unit)
    texts, document = byte_windows.cut(study.corpus.held_out(), 24, 6)
    for seed in (0, 1):
        source = study.suite.source("pair", seed, 0)
        checkpoint, own = checkpoints.load(*source), tokenizer.load(checkpoints.find(*source))
        apply = jax.jit(models.apply_fn(checkpoint.config))
        for k, name in enumerate(data["document"].values):
            total, size = 0.0, 0
            for text in itertools.compress(texts, document == name):
                ids = [0, *own.encode(text.decode()).ids]
                # One shape for all texts; a causal model does not see the zeros after a text.
                padded = np.pad(np.array(ids[:-1], np.int32), (0, 32 - len(ids[:-1])))
                logits = apply(checkpoint.params, padded[None])[0]
                logs = np.asarray(jax.nn.log_softmax(logits), np.float64)
                total, size = total - logs[np.arange(len(ids) - 1), ids[1:]].sum(), size + len(text)
            assert float(data["surprisal"][seed, k]) == pytest.approx(total / size, rel=1e-4)
    gap = np.abs(data["surprisal"].values[0] - data["surprisal"].values[1])
    np.testing.assert_allclose(data["surprisal_gap"].values[0, 1], gap)


def test_windows_are_whole_characters_of_one_document_in_order():
    documents = tuple(Document(f"d{k}", "text", f"{k}é中😀" * (3 + k)) for k in range(4))
    texts, owner = byte_windows.cut(Corpus("toy", documents), 16, 7)
    assert [text.decode() for text in texts]
    assert all(13 <= len(text) <= 16 for text in texts)
    assert len(texts) == 7
    for k, document in enumerate(documents):
        own = b"".join(itertools.compress(texts, owner == k))
        assert document.text.encode().startswith(own)
    assert set(owner.tolist()) == {0, 1, 2, 3}  # every document's first before any one's second
    with pytest.raises(InputError, match="all shorter than 600 bytes"):
        byte_windows.cut(Corpus("toy", documents), 600, 2)


def test_what_cannot_be_compared_is_told(study, tmp_path):
    (unit,) = experiment.experiments(study)[0].units
    single = dataclasses.replace(study, suite=study.suite.select(seeds=[0]))
    with pytest.raises(InputError, match="1 seed"):
        experiment.experiments(single)
    pieces = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    (tmp_path / "model1" / "tokenizer.json").write_text(pieces.to_str())
    with pytest.raises(InputError, match=r"separator|byte-level BPE"):
        experiment.byte_divergence(study, unit)
    parts = json.loads((tmp_path / "model0" / "tokenizer.json").read_text())
    parts["pre_tokenizer"]["add_prefix_space"] = True
    (tmp_path / "model1" / "tokenizer.json").write_text(json.dumps(parts))
    with pytest.raises(InputError, match="adds a space"):
        experiment.byte_divergence(study, unit)

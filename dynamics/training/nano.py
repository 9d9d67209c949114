"""The suites that are trained here, on first use: small models of several seeds.

`nano`, GPT-NeoX on the embedded corpus, is the default of every experiment; `smoke` is the same
path in seconds, to check an installation. `nano-masked` and `smoke-masked` are BERTs. `truth` and
`smoke-truth` are trained on text of a known distribution (`data.synthetic`). Seeds of `nano-causes`
and `smoke-causes` are the pairs of a few initialisations and a few data orders; models of
`nano-warmup` differ in their warm-up alone.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dynamics.cache import cache_root, locked
from dynamics.data import corpus, synthetic, tokenizer
from dynamics.errors import InputError
from dynamics.files import write_atomically
from dynamics.models import bert, gpt_neox
from dynamics.suite import Suite, folder_tree
from dynamics.training import pretrain
from dynamics.training.recipe import Recipe


def _recipe(name: str, width: int, depth: int, heads: int, vocab: int, **numbers) -> Recipe:
    config = gpt_neox.Config(
        hidden_size=width,
        num_layers=depth,
        num_heads=heads,
        intermediate_size=4 * width,
        vocab_size=vocab,
        max_positions=256,
    )
    return Recipe(name=name, config=config, **numbers)


def _masked(name: str, width: int, heads: int, vocab: int, context: int = 16, **numbers) -> Recipe:
    config = bert.Config(
        hidden_size=width,
        num_layers=1,
        num_heads=heads,
        intermediate_size=2 * width,
        vocab_size=vocab,
        max_positions=context,
        # Twice BERT-base's gain at its width: a single block has to do what many do there.
        initializer_range=width**-0.5,
    )
    return Recipe(name=name, config=config, context=context, **numbers)


# Nano is two sizes of one depth, so that a difference between them is one of width.
RECIPES: dict[str, tuple[Recipe, ...]] = {
    "nano": (
        _recipe(
            "nano-32",
            32,
            2,
            2,
            2048,
            num_steps=640,
            batch_size=12,
            peak_rate=1.2e-2,
            final_rate_share=0.02,
            warmup=160,
        ),
        _recipe(
            "nano-64",
            64,
            2,
            4,
            2048,
            num_steps=640,
            batch_size=12,
            peak_rate=1.2e-2,
            final_rate_share=0.02,
            warmup=160,
        ),
    ),
    "smoke": (
        _recipe("smoke-16", 16, 1, 2, 512, num_steps=32, batch_size=4, context=64, warmup=4),
        _recipe("smoke-24", 24, 1, 3, 512, num_steps=32, batch_size=4, context=64, warmup=4),
    ),
    # In windows of 16 tokens attention finds the neighbours within a thousand steps; in windows of
    # 128 it had not, and the models were still at the unigram distribution.
    "nano-masked": (
        _masked(
            "masked-32",
            32,
            2,
            512,
            num_seeds=5,
            num_steps=1024,
            batch_size=96,
            peak_rate=1e-2,
            warmup=64,
        ),
        _masked(
            "masked-64",
            64,
            4,
            512,
            num_seeds=5,
            num_steps=1024,
            batch_size=96,
            peak_rate=5e-3,
            warmup=64,
        ),
    ),
    "smoke-masked": (_masked("masked-16", 16, 2, 512, num_steps=32, batch_size=16, warmup=4),),
    "truth": (
        _recipe("truth-16", 16, 2, 2, 64, num_steps=640, context=64, peak_rate=6e-3, warmup=256),
        _recipe("truth-48", 48, 2, 6, 64, num_steps=640, context=64, peak_rate=6e-3, warmup=256),
    ),
    "smoke-truth": (
        _recipe("truth-16", 16, 1, 2, 64, num_steps=64, context=32, peak_rate=1e-2, warmup=8),
    ),
    # Every initialisation with every data order, in three architectures: two widths, two depths.
    "nano-causes": tuple(
        _recipe(
            f"causes-{width}x{depth}",
            width,
            depth,
            heads,
            512,
            num_seeds=16,
            num_orders=4,
            num_steps=256,
            batch_size=8,
            context=64,
            peak_rate=1e-2,
            warmup=64,
        )
        for width, depth, heads in ((32, 2, 2), (32, 4, 2), (64, 2, 4))
    ),
    # One model, whose learning rate rises within 0, 32 and 128 steps.
    "nano-warmup": tuple(
        _recipe(
            f"warmup-{warmup}",
            32,
            2,
            2,
            512,
            num_steps=512,
            batch_size=4,
            peak_rate=1e-2,
            warmup=warmup,
        )
        for warmup in (0, 32, 128)
    ),
    "smoke-causes": (
        _recipe(
            "causes-16x1",
            16,
            1,
            2,
            512,
            num_seeds=9,
            num_orders=3,
            num_steps=16,
            batch_size=4,
            context=32,
            warmup=4,
        ),
    ),
}
KNOWN_TRUTH = ("truth", "smoke-truth")  # suites whose text is `data.synthetic`'s


def suite(name: str, own: corpus.Corpus | None = None) -> Suite:
    """The grid of a suite trained here, whether or not its files exist yet.

    `own` is a text to train it on in place of its own; the suite then bears that text's name, too.
    Raises InputError for one whose text is a known truth.
    """
    recipes = RECIPES[name]
    title = f"{name}-on-{Path(own.name).name.partition('.')[0]}" if own else name
    steps = recipes[0].checkpoint_steps()
    grid = folder_tree(
        title, _folder(name, own), [r.name for r in recipes], range(recipes[0].num_seeds), steps
    )
    rates = {recipe.name: recipe.learning_rate() for recipe in recipes}
    trained = min(recipe.context for recipe in recipes)
    read = {recipe.batch_size * recipe.context for recipe in recipes}
    return dataclasses.replace(
        grid,
        learning_rate=lambda model, step: rates[model](step),
        trained_context=trained,
        causes=recipes[0].causes if recipes[0].num_orders else None,
        tokens_per_step=read.pop() if len(read) == 1 else None,
    )


def text(name: str, own: corpus.Corpus | None = None) -> corpus.Corpus:
    """The corpus that a suite is trained on and, by default, measured on: `own` where it is given.

    Raises InputError for another text of a suite whose text is a known truth.
    """
    if own is not None:
        if name in KNOWN_TRUTH:
            raise InputError(
                f"the text {own.name} to train {name} on",
                expected="none: of another text the true distribution is not known",
            )
        return own
    return synthetic.corpus() if name in KNOWN_TRUTH else corpus.embedded()


def ensure(
    name: str,
    models: tuple[str, ...],
    progress: Callable[[Recipe], Callable[[int], None]],
    own: corpus.Corpus | None = None,
):
    """Trains those of `models` that are not trained yet; returns at once if there are none.

    Several processes may call it together: one trains, the others wait. `progress(recipe)` returns
    a function that is called with every step. `own` is as of `suite`.
    """
    folder = _folder(name, own)
    for recipe in RECIPES[name]:
        if recipe.name in models and not _done(folder / recipe.name).exists():
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / ".lock"):
                _train(name, own, recipe, folder, progress(recipe))


def _train(
    name: str,
    own: corpus.Corpus | None,
    recipe: Recipe,
    folder: Path,
    progress: Callable[[int], None],
):
    target = folder / recipe.name
    if _done(target).exists():  # another process was first
        return
    target.mkdir(exist_ok=True)
    stream, tokenizer_file = _stream(name, own, folder, recipe)
    pretrain.pretrain(recipe, stream, target, tokenizer_file, progress)
    write_atomically(
        _done(target),
        json.dumps({"suite": name, "model": recipe.name, "tokens": len(stream)}) + "\n",
    )


def _stream(
    name: str, own: corpus.Corpus | None, folder: Path, recipe: Recipe
) -> tuple[Int[np.ndarray, " N"], Path]:
    """The training documents as one token stream, and the tokenizer's file.

    Each document is headed by the separator.
    """
    documents, path = text(name, own).train(), folder / "tokenizer.json"
    if not path.exists():
        write_atomically(path, _tokenizer(name, documents, recipe).to_str())
    return np.concatenate(tokenizer.encode(tokenizer.load(folder), documents)), path


def _tokenizer(name: str, documents: corpus.Corpus, recipe: Recipe) -> tokenizer.Tokenizer:
    if name in KNOWN_TRUTH:
        return synthetic.tokenizer()
    texts = (document.text for document in documents.documents)
    return tokenizer.train(texts, recipe.config.vocab_size, masks=recipe.objective == "masked")


def _folder(name: str, own: corpus.Corpus | None) -> Path:
    fingerprint = text(name, own).fingerprint()
    joint = "-".join(recipe.fingerprint(fingerprint) for recipe in RECIPES[name])
    return cache_root() / f"{name}-{joint}"


def _done(folder: Path) -> Path:
    return folder / "trained.json"

"""Seconds per Hessian-vector product here and in PyHessian: same weights, batch, float32 and
threads.

    python -m benchmarks.hvp_vs_pyhessian

Half a minute on 2 idle cores at 14m shape. Expect a ratio of about 3, and 2 with `--kept`.

The loss is the mean surprisal of 8 x 128 predicted tokens. Ours holds nothing between products and
makes all anew, the gradient's own pass among it; so does PyHessian with a data loader, as it must
where there is more than one batch. With `--kept` it is given the one batch instead: it then keeps
the graph of the gradient, logits and all, from the start, and a product is the second backward pass
alone. A pair is one product of each, of the same vector. `--gauss_newton` times our Gauss-Newton
product too, which PyHessian does not have.

On an accelerator, `--torch_device=cuda` moves the torch side there; ours runs where JAX does.
"""

import time
import warnings
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags

from benchmarks import setting
from dynamics.checkpoints import convert
from dynamics.measures import curvature, surprisal
from dynamics.models import gpt_neox

FLAGS = flags.FLAGS
MODELS = gpt_neox.PYTHIA | {
    "tiny": gpt_neox.Config(
        hidden_size=16, num_layers=1, num_heads=2, intermediate_size=16, vocab_size=64
    )
}
flags.DEFINE_enum("model", "14m", list(MODELS), "which shape")
flags.DEFINE_integer("products", 5, "of each side", lower_bound=1)
flags.DEFINE_integer("windows", 8, "of the batch", lower_bound=1)
flags.DEFINE_integer("length", 128, "predicted tokens of a window", lower_bound=1)
flags.DEFINE_bool("kept", False, "let PyHessian keep the graph of the gradient between products")
flags.DEFINE_bool("gauss_newton", False, "time the Gauss-Newton product too")
flags.DEFINE_string("torch_device", "cpu", "of the torch side")


class Product(NamedTuple):
    seconds: float
    value: dict[str, np.ndarray]  # by the hub's names


def vector_of(params, seed: int):
    """A random vector like params."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32), params)


def ours(product: curvature.Product, config, params, tokens):
    """seed -> Product, compiled."""
    apply = jax.jit(product.apply)

    def timed(seed: int) -> Product:
        vector = jax.block_until_ready(jax.device_put(vector_of(params, seed)))
        begun = time.perf_counter()
        found = jax.block_until_ready(apply(params, tokens, vector))
        return Product(
            time.perf_counter() - begun,
            convert.from_params(config, jax.tree.map(np.asarray, found)),
        )

    return timed


def theirs(config, params, tokens, device: str, kept: bool):
    """seed -> Product; `kept` has the graph of the gradient made beforehand."""
    import pyhessian
    import torch
    from pyhessian import utils

    class Logits(torch.nn.Module):
        """What PyHessian wants of a model: inputs to outputs that the criterion takes."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, ids):
            return self.model(ids).logits.flatten(0, 1)

    model = Logits(setting.in_torch(config, params, attention="eager")).to(device)
    ids = torch.tensor(tokens, dtype=torch.long, device=device)
    data = (ids[:, :-1], ids[:, 1:].flatten())
    batches = {"data": data} if kept else {"dataloader": [data]}
    hessian = pyhessian.hessian(model, torch.nn.CrossEntropyLoss(), **batches, cuda=device != "cpu")
    names = [
        _hub_name(name) for name, parameter in model.named_parameters() if parameter.requires_grad
    ]

    def timed(seed: int) -> Product:
        flat = convert.from_params(config, vector_of(params, seed))
        vector = [torch.tensor(np.ascontiguousarray(flat[name]), device=device) for name in names]
        begun = time.perf_counter()
        if kept:
            found = utils.hessian_vector_product(hessian.gradsH, hessian.params, vector)
        else:
            found = hessian.dataloader_hv_product(vector)[1]
        value = dict(zip(names, (x.detach().cpu().numpy() for x in found), strict=True))
        return Product(time.perf_counter() - begun, value)

    return timed


def _hub_name(name: str) -> str:
    return name.removeprefix("model.").replace("lm_head", "embed_out")


def apart(one: Product, other: Product) -> float:
    """|one - other| / |other|."""
    gap = sum(
        float(np.square(one.value[name] - y).sum(dtype=np.float64))
        for name, y in other.value.items()
    )
    return float(
        np.sqrt(gap / sum(float(np.square(y).sum(dtype=np.float64)) for y in other.value.values()))
    )


def compare(
    config, windows: int, length: int, products: int, device: str = "cpu", kept: bool = False
) -> list[tuple[Product, Product]]:
    """Pairs of products of one vector each, after one of either that is not kept."""
    params, tokens = setting.params_of(config), setting.tokens_of(config, windows, length + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sides = (
            ours(curvature.hessian(surprisal.loss_fn(config)), config, params, tokens),
            theirs(config, params, tokens, device, kept),
        )
        for side in sides:
            begun = time.perf_counter()
            side(1000)
            print(f"the first product: {time.perf_counter() - begun:.1f} s")
        return [(sides[0](seed), sides[1](seed)) for seed in range(products)]


def main(_):
    config = MODELS[FLAGS.model]
    pairs = compare(
        config, FLAGS.windows, FLAGS.length, FLAGS.products, FLAGS.torch_device, FLAGS.kept
    )
    print(setting.machine(("jax", "torch", "pyhessian", "transformers")))
    for name, runs in zip(("ours", "PyHessian"), zip(*pairs, strict=True), strict=True):
        print(f"{name}: {setting.spread([run.seconds for run in runs])} s a product")
    ratios = [y.seconds / x.seconds for x, y in pairs]
    gap = max(apart(*pair) for pair in pairs)
    print(
        f"ratio: {setting.spread(ratios)} over {len(pairs)} pairs; products {gap:.1g} apart, relative"
    )
    if FLAGS.gauss_newton:
        params, tokens = (
            setting.params_of(config),
            setting.tokens_of(config, FLAGS.windows, FLAGS.length + 1),
        )
        timed = ours(surprisal.gauss_newton(config), config, params, tokens)
        timed(1000)
        print(
            f"Gauss-Newton: {setting.spread([timed(seed).seconds for seed in range(FLAGS.products)])} s a product"
        )


if __name__ == "__main__":
    app.run(main)

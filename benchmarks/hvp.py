"""Hessian-vector products here and in PyHessian: same weights, batch, float32 and vectors.

The loss is the mean surprisal of the batch's predicted tokens. Ours holds nothing between products
and makes all anew, the gradient's own pass among it; so does PyHessian with a data loader, as it
must where there is more than one batch. Given one batch instead it keeps the graph of the gradient,
logits and all, from the start, and a product is the second backward pass alone.
"""

import functools
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import setting
from dynamics.checkpoints import convert
from dynamics.measures import curvature, surprisal


class Timed(NamedTuple):
    """One product."""

    seconds: float
    product: dict[str, np.ndarray]  # by the hub's names


def vector_of(params, seed: int):
    """A random vector like params."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32), params)


def ours(matrix: curvature.Product, config, params, tokens) -> Callable[[int], Timed]:
    """seed -> one product with the vector of that seed, compiled at the first."""
    apply = jax.jit(matrix.apply)

    def timed(seed: int) -> Timed:
        vector = jax.block_until_ready(jax.device_put(vector_of(params, seed)))
        start = time.perf_counter()
        product = jax.block_until_ready(apply(params, tokens, vector))
        seconds = time.perf_counter() - start
        return Timed(seconds, convert.from_params(config, jax.tree.map(np.asarray, product)))

    return timed


def pyhessian(
    config, params, tokens, device: str = "cpu", keep_graph: bool = False
) -> Callable[[int], Timed]:
    """seed -> one product with the vector of that seed; `keep_graph` makes the gradient's graph
    beforehand."""
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
    batches = {"data": data} if keep_graph else {"dataloader": [data]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of create_graph, which is what a second backward needs
        hessian = pyhessian.hessian(
            model, torch.nn.CrossEntropyLoss(), **batches, cuda=device != "cpu"
        )
    names = [
        _hub_name(name) for name, parameter in model.named_parameters() if parameter.requires_grad
    ]

    def timed(seed: int) -> Timed:
        flat = convert.from_params(config, vector_of(params, seed))
        vector = [torch.tensor(np.ascontiguousarray(flat[name]), device=device) for name in names]
        setting.synchronize(device)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if keep_graph:
                product = utils.hessian_vector_product(hessian.gradsH, hessian.params, vector)
            else:
                product = hessian.dataloader_hv_product(vector)[1]
        setting.synchronize(device)
        seconds = time.perf_counter() - start
        arrays = (leaf.detach().cpu().numpy() for leaf in product)
        return Timed(seconds, dict(zip(names, arrays, strict=True)))

    return timed


def _hub_name(name: str) -> str:
    return name.removeprefix("model.").replace("lm_head", "embed_out")


def relative_difference(product: dict, reference: dict) -> float:
    """|product - reference| / |reference|, of products by the hub's names."""

    def norm(arrays) -> float:
        return sum(float(np.square(array).sum(dtype=np.float64)) for array in arrays) ** 0.5

    difference = norm(product[name] - leaf for name, leaf in reference.items())
    return difference / norm(reference.values())


def sides(
    config, windows: int, length: int, device: str = "cpu", keep_graph: bool = False
) -> tuple[Callable[[int], Timed], Callable[[], Callable[[int], Timed]]]:
    """(our side, a function that builds PyHessian's) over the same weights and batch."""
    params, tokens = setting.params_of(config), setting.tokens_of(config, windows, length + 1)
    hessian = curvature.hessian(surprisal.loss_fn(config))
    return (
        ours(hessian, config, params, tokens),
        functools.partial(pyhessian, config, params, tokens, device, keep_graph),
    )

"""Seconds per Hessian-vector product here and in PyHessian: same weights, batch, float32 and
threads.

    python -m benchmarks.hvp_vs_pyhessian

Half a minute on 2 idle cores at 14m shape. Expect a ratio of about 3, and 2 with `--keep_graph`.

`benchmarks.hvp` has both sides; the batch is 8 x 128 predicted tokens, and a pair is one product of
each with the same vector. With `--keep_graph` PyHessian is given the one batch, whose gradient's
graph it keeps. `--gauss_newton` times our Gauss-Newton product too, which PyHessian does not have.
"""

import time

from absl import app, flags

from benchmarks import hvp, pairs, setting
from dynamics.measures import surprisal

FLAGS = flags.FLAGS
flags.DEFINE_enum("model", "14m", list(setting.MODELS), "which shape")
flags.DEFINE_integer("products", 5, "of each side", lower_bound=1)
flags.DEFINE_integer("windows", 8, "of the batch", lower_bound=1)
flags.DEFINE_integer("length", 128, "predicted tokens of a window", lower_bound=1)
flags.DEFINE_bool(
    "keep_graph", False, "let PyHessian keep the graph of the gradient between products"
)
flags.DEFINE_bool("gauss_newton", False, "time the Gauss-Newton product too")
flags.DEFINE_string("torch_device", "cpu", "of the torch side")


def compare(
    config, windows: int, length: int, products: int, device: str = "cpu", keep_graph: bool = False
) -> pairs.Pairs:
    """`products` pairs of products with one vector each."""
    ours, build_pyhessian = hvp.sides(config, windows, length, device, keep_graph)
    start = time.perf_counter()
    peer = build_pyhessian()
    print(f"PyHessian's start: {time.perf_counter() - start:.1f} s")
    return pairs.interleave(ours, peer, products)


def largest_difference(runs: pairs.Pairs) -> float:
    """The largest relative difference between the two products of a pair."""
    return max(
        hvp.relative_difference(mine.product, theirs.product)
        for mine, theirs in zip(runs.ours, runs.peer, strict=True)
    )


def main(_):
    config = setting.MODELS[FLAGS.model]
    runs = compare(
        config, FLAGS.windows, FLAGS.length, FLAGS.products, FLAGS.torch_device, FLAGS.keep_graph
    )
    print(
        f"the first product: ours {runs.first_ours.seconds:.1f} s,"
        f" PyHessian {runs.first_peer.seconds:.1f} s"
    )
    print(setting.machine(("jax", "torch", "pyhessian", "transformers")))
    for name, products in (("ours", runs.ours), ("PyHessian", runs.peer)):
        print(f"{name}: {setting.spread([product.seconds for product in products])} s a product")
    print(
        f"ratio: {setting.spread(runs.ratios())} over {len(runs.ours)} pairs; products"
        f" {largest_difference(runs):.1g} apart, relative"
    )
    if FLAGS.gauss_newton:
        params = setting.params_of(config)
        tokens = setting.tokens_of(config, FLAGS.windows, FLAGS.length + 1)
        timed = hvp.ours(surprisal.gauss_newton(config), config, params, tokens)
        timed(0)
        seconds = [timed(seed).seconds for seed in range(1, FLAGS.products + 1)]
        print(f"Gauss-Newton: {setting.spread(seconds)} s a product")


if __name__ == "__main__":
    app.run(main)

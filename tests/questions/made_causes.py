"""Planted records of runs whose divergence passes from the initialisation to the data order.

Axes: K steps, S runs of a 4 x 4 grid, G documents.
"""

import numpy as np

from dynamics.questions.causes import record

STEPS = (0, 8, 64)
# By step, what the initialisation, the data order and both at once make, nats.
PLANTED = ((0.4, 0.0, 0.0), (0.2, 0.1, 0.02), (0.05, 0.3, 0.1))
DOCUMENTS = 5
INIT, ORDER = np.divmod(np.arange(16), 4)


def planted(k: int) -> record.Record:
    """Runs whose predictions have these effects in 200 dimensions; documents weigh 1 to 5."""
    rng = np.random.default_rng(k)
    init, order, both = np.sqrt(np.array(PLANTED[k]) / 200)
    x = (
        init * rng.standard_normal((4, 1, 200))
        + order * rng.standard_normal((1, 4, 200))
        + both * rng.standard_normal((4, 4, 200))
    ).reshape(16, 200)
    kl = np.square(x[:, None] - x[None]).sum(-1) / 2
    effect = np.linspace(0.8, 1.2, DOCUMENTS)
    tokens = 10.0 * np.arange(1, DOCUMENTS + 1)
    return record.Record(
        seeds=tuple(range(16)),
        init=INIT,
        order=ORDER,
        tokens=tokens,
        kl=kl[..., None] * effect / (effect @ tokens / tokens.sum()),
        surprisal=np.full((16, DOCUMENTS), 5.0 - k) + 0.01 * np.arange(16)[:, None],
        parameters=1000,
    )

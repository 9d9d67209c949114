"""Planted records of divergence per byte. Axes: S seeds, G documents."""

import numpy as np

from dynamics.questions.next_byte import record

STEPS, DOCUMENTS = (0, 16, 64, 256, 640), 40
SIZES = np.arange(10.0, 50.0)


def square(values: np.ndarray, seeds: int) -> np.ndarray:
    """[G] -> [S,S,G]: nearly the same for every pair, and 0 for a seed and itself."""
    apart = 1 + 0.01 * np.abs(np.subtract.outer(np.arange(seeds), np.arange(seeds)))
    return (~np.eye(seeds, dtype=bool) * apart)[..., None] * values


def planted(k: int, seeds: int = 3) -> record.Record:
    """Seed i is surprised by i + 1 bits a byte; its tokenizer has 300 + 212 i ids."""
    noise = 1 + 0.1 * np.random.default_rng(1).standard_normal(DOCUMENTS)
    per_byte = (0.1 + 0.1 * k) * noise
    nats = np.log(2) * (1 + np.arange(seeds))[:, None] * np.ones(DOCUMENTS)
    return record.Record(
        seeds=tuple(range(seeds)),
        vocabularies=tuple((300 + 212 * np.arange(seeds)).tolist()),
        documents=np.arange(DOCUMENTS),
        sizes=SIZES,
        kl=square(per_byte, seeds),
        js=square(per_byte / 4, seeds),
        surprisal_gap=np.abs(nats[:, None] - nats[None]),
        entropy=nats,
        surprisal=nats,
        surprisal_every=nats - 0.1 * np.log(2),
        kl_byte=np.zeros((2, 4)),
        window_document=np.array([0, 1]),
    )

"""A page to read: passages whose tokens are coloured by how far seeds are apart on them, at every
step.

Everything is in the one file, numbers as whole ones: KL in thousandths of a nat, surprisal in
hundredths, probabilities in thousandths. They are rounded there and nowhere else; what is not
finite is null.

Axes: M models, K steps, W passages, T tokens, P = T-1 predictions, S seeds, R ranks.
"""

import json
from pathlib import Path

import numpy as np

from dynamics import results
from dynamics.analysis.curves import Committed, natural
from dynamics.files import write_atomically

KL_UNIT, SURPRISAL_UNIT, PROBABILITY_UNIT = 1e-3, 1e-2, 1e-3
NAME = "reading.html"


def write(store: results.Store, suite_name: str, folder: Path) -> Path | None:
    """Writes reading.html into `folder`, whole or not at all; None where nothing is there to
    read."""
    committed = list(store.committed("reading"))
    if not committed:
        return None
    return write_atomically(Path(folder) / NAME, render(committed, suite_name))


def render(committed: Committed, suite_name: str) -> str:
    """The page's HTML."""
    import jinja2

    template = Path(__file__).with_name(NAME).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    # Inside a script element only "<" could end it; as an escape of JSON it is the same text.
    data = json.dumps(payload(committed), ensure_ascii=False, separators=(",", ":")).replace(
        "<", "\\u003c"
    )
    return environment.from_string(template).render(suite=suite_name, data=data)


def payload(committed: Committed) -> dict:
    """What the page's script reads: models -> steps -> whole numbers, beside the passages and the
    words.

    `words` are the tokens' texts; passages and ranks hold indices into them.
    """
    models = _by_model(committed)
    kept = [data for pairs in models.values() for _, data in pairs]
    first = kept[0]
    texts = {
        int(k): str(piece) for data in kept for k, piece in zip(*_vocabulary(data), strict=True)
    }
    place = {token: index for index, token in enumerate(sorted(texts))}
    passages = [
        {"title": str(title), "tokens": [place[int(token)] for token in row]}
        for title, row in zip(first["title"].values, first["token"].values, strict=True)
    ]
    return {
        "units": {"kl": KL_UNIT, "surprisal": SURPRISAL_UNIT, "probability": PROBABILITY_UNIT},
        "most": _most([data["kl"].values for data in kept]),
        "words": [texts[token] for token in sorted(texts)],
        "passages": passages,
        "models": [_model(name, pairs, place) for name, pairs in models.items()],
    }


def _by_model(committed: Committed) -> dict[str, list]:
    """model, by size -> its units in the order of steps, of the largest set of seeds that it was
    measured with."""
    groups: dict[str, dict[tuple[int, ...], list]] = {}
    for unit, data in committed:
        groups.setdefault(unit.model, {}).setdefault(unit.seeds, []).append((unit, data))
    largest = {
        model: max(groups[model].values(), key=lambda pairs: (len(pairs[0][0].seeds), len(pairs)))
        for model in sorted(groups, key=natural)
    }
    return {model: sorted(pairs, key=lambda pair: pair[0].step) for model, pairs in largest.items()}


def _most(kl: list[np.ndarray]) -> float:
    """Where the colours end, nats: one number for all models and steps, so that a shade means the
    same everywhere."""
    finite = [one[np.isfinite(one)] for one in kl]
    highest = max((float(np.quantile(one, 0.95)) for one in finite if one.size), default=0.0)
    return float(f"{highest:.1g}") or 1.0


def _vocabulary(data):
    return data["id"].values, data["piece"].values


def _model(name: str, ordered: list, place: dict[int, int]) -> dict:
    return {
        "name": name,
        "seeds": list(ordered[0][0].seeds),
        "steps": [unit.step for unit, _ in ordered],
        "kl": _whole([data["kl"].values for _, data in ordered], KL_UNIT),  # [K,W,P]
        "surprisal": _whole(
            [data["surprisal"].values for _, data in ordered], SURPRISAL_UNIT
        ),  # [K,S,W,P]
        "top": [
            np.vectorize(place.__getitem__)(data["top_id"].values).tolist() for _, data in ordered
        ],  # [K,S,W,P,R]
        "probability": _whole(
            [data["top_probability"].values for _, data in ordered], PROBABILITY_UNIT
        ),
    }


def _whole(values, unit: float) -> list:
    scaled = np.rint(np.asarray(values, np.float64) / unit)
    finite = np.isfinite(scaled)
    whole = np.where(finite, scaled, 0).astype(int).astype(object)
    whole[~finite] = None
    return whole.tolist()

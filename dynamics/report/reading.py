"""A page to read: passages whose tokens are coloured by how far seeds are apart on them, at every step.

Everything is in the one file, numbers as whole ones: KL in thousandths of a nat, surprisal in hundredths, probabilities
in thousandths. They are rounded there and nowhere else.

Axes: M models, K steps, W passages, T tokens, P = T-1 predictions, S seeds, R ranks.
"""

import json
from pathlib import Path

import numpy as np

from dynamics import results
from dynamics.analysis.curves import Committed, natural
from dynamics.report.page import put

KL_UNIT, SURPRISAL_UNIT, PROBABILITY_UNIT = 1e-3, 1e-2, 1e-3
NAME = "reading.html"


def write(store: results.Store, suite_name: str, folder: Path) -> Path | None:
    """Writes reading.html into `folder`, whole or not at all; None where nothing is there to read."""
    committed = list(store.committed("reading"))
    return put(render(committed, suite_name), Path(folder) / NAME) if committed else None


def render(committed: Committed, suite_name: str) -> str:
    """The page's HTML."""
    import jinja2

    template = Path(__file__).with_name(NAME).read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    # Inside a script element only "<" could end it; as an escape of JSON it is the same text.
    data = json.dumps(payload(committed), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return environment.from_string(template).render(suite=suite_name, data=data)


def payload(committed: Committed) -> dict:
    """What the page's script reads: models -> steps -> whole numbers, beside the passages and the words.

    `words` are the tokens' texts; passages and ranks hold indices into them.
    """
    models = sorted({unit.model for unit, _ in committed}, key=natural)
    first = committed[0][1]
    texts = {int(k): str(piece) for _, data in committed for k, piece in zip(*_vocabulary(data), strict=True)}
    place = {token: index for index, token in enumerate(sorted(texts))}
    passages = [
        {"title": str(title), "tokens": [place[int(token)] for token in row]}
        for title, row in zip(first["title"].values, first["token"].values, strict=True)
    ]
    return {
        "units": {"kl": KL_UNIT, "surprisal": SURPRISAL_UNIT, "probability": PROBABILITY_UNIT},
        "words": [texts[token] for token in sorted(texts)],
        "passages": passages,
        "models": [_model(model, [pair for pair in committed if pair[0].model == model], place) for model in models],
    }


def _vocabulary(data):
    return data["id"].values, data["piece"].values


def _model(name: str, committed: list, place: dict[int, int]) -> dict:
    ordered = sorted(committed, key=lambda pair: pair[0].step)
    kl = np.stack([data["kl"].values for _, data in ordered])
    return {
        "name": name,
        "seeds": list(ordered[0][0].seeds),
        "steps": [unit.step for unit, _ in ordered],
        "most": float(f"{max(np.quantile(one, 0.95) for one in kl):.1g}") or 1.0,  # where the colours end, nats
        "kl": _whole(kl, KL_UNIT),  # [K,W,P]
        "surprisal": _whole([data["surprisal"].values for _, data in ordered], SURPRISAL_UNIT),  # [K,S,W,P]
        "top": [np.vectorize(place.__getitem__)(data["top_id"].values).tolist() for _, data in ordered],  # [K,S,W,P,R]
        "probability": _whole([data["top_probability"].values for _, data in ordered], PROBABILITY_UNIT),
    }


def _whole(values, unit: float) -> list:
    return np.rint(np.asarray(values, np.float64) / unit).astype(int).tolist()

"""What seeds make of hidden tokens: bands are cut where they would hide the rest.

Axes: K steps, S seeds, G documents, W windows, P hidden tokens.
"""

import numpy as np
import pytest
from made_seeds import made_record, units

from dynamics import results
from dynamics.figures import style
from dynamics.questions import Committed, masked
from dynamics.questions.masked import record
from dynamics.questions.seed_divergence import Divergence

STEPS, LEVELS = (0, 8, 64, 512), (0.8, 0.1, 0.3, 0.6)
TOKENS = np.full(4, 3.0)
SCALES = {"small-8": 1.0, "large-16": 2.0}


def stored_units(num_seeds: int, spread: float = 0.02):
    """Two models, whose pairs of seeds differ by `spread` of their level."""
    rng = np.random.default_rng(0)
    for model, scale in SCALES.items():
        stored = {}
        for step, level in zip(STEPS, LEVELS, strict=True):
            kl = scale * level * np.exp(spread * rng.standard_normal((num_seeds, num_seeds, 4)))
            kl[np.eye(num_seeds, dtype=bool)] = 0
            written = record.Record(
                numbers=made_record(kl, TOKENS, scale * level),
                place=np.ones((2, 2), int),
                token=np.full((2, 2), 5),
            )
            stored[step] = record.to_dataset(written)
        yield from units(record.MEASURE, model, stored)


def find(num_seeds: int, **kwargs) -> list[Divergence]:
    models = masked.find(Committed({record.MEASURE: list(stored_units(num_seeds, **kwargs))}))
    assert models is not None
    return models


def section(models: list[Divergence]):
    return masked.QUESTION.section(models, style.Look([seeds.model for seeds in models]))


def test_what_was_hidden_is_read_as_it_was_written():
    (_, data), *_ = stored_units(2)
    read = record.from_dataset(data)
    assert (read.place.dtype, read.place.shape) == (np.int32, (2, 2))
    np.testing.assert_array_equal(read.token, 5)
    assert read.numbers.seeds == (0, 1)
    assert data.attrs["frame"] == "one mask at a time, all else seen"


def test_sentences_follow_the_numbers():
    of_both, larger, smaller = section(find(4)).findings
    assert "(large-16) and " in of_both.sentence
    assert of_both.rests_on == "4 seeds, 4 documents, for each of 2 models"
    assert "KL between seeds at a mask of small-8 starts at 0." in smaller.sentence
    assert "falls to 0.1" in smaller.sentence
    assert "at step 8 and rises to 0." in smaller.sentence
    assert "by step 512" in smaller.sentence
    assert "large-16 starts at 1." in larger.sentence
    assert smaller.rests_on == "4 seeds, 4 documents"


def test_the_caption_says_what_is_averaged():
    (panel, *_) = section(find(4)).panels
    assert "Mean over 12 hidden tokens of 4 documents" in panel.caption
    assert "ordered pairs of 4 seeds" in panel.caption


def test_two_seeds_have_no_band_and_say_so():
    (panel, *_) = section(find(2)).panels
    assert "No band: an interval over seeds needs three, and there are 2." in panel.caption


def test_bands_do_not_press_the_curves_to_the_floor():
    models = find(3, spread=2.0)
    panel = section(models).panels[0]
    (ax,) = panel.draw().axes
    curves = [seeds.seed_kl for seeds in models]
    greatest = max(curve.value.max() for curve in curves)
    assert greatest < ax.get_ylim()[1] <= 1.4 * greatest + 1e-9
    cut = sum(int((curve.high > ax.get_ylim()[1]).sum()) for curve in curves)
    assert cut
    assert panel.caption.endswith(f"{cut} of them reach above the panel.")


@pytest.mark.parametrize("at", range(3))
def test_panels_hold_every_model_and_step(at):
    models = find(3)
    panel = section(models).panels[at]
    (ax,) = panel.draw().axes
    assert ax.get_ylabel().endswith("(nats)")
    assert ax.get_xlabel() == "training step"
    assert [line.get_xdata().tolist() for line in ax.lines] == [list(STEPS)] * 2
    names = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert names == [seeds.model for seeds in models]
    assert len(panel.table.rows) == 2 * len(STEPS)


def test_a_store_gives_what_was_put_into_it(tmp_path):
    store = results.Store(tmp_path)
    for unit, data in stored_units(3):
        store.write(unit, data, {"suite": "toy"}, {"weights": [], "corpus": {"name": "text"}})
    models = masked.find(Committed(store))
    assert models is not None
    for read, made in zip(models, find(3), strict=True):
        np.testing.assert_array_equal(read.seed_kl.value, made.seed_kl.value)
        np.testing.assert_array_equal(read.surprisal.value, made.surprisal.value)


def test_no_results_are_no_findings():
    assert masked.find(Committed({})) is None

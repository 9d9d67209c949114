"""The section on masked models: its sentences follow the numbers, its bands are cut where they
would hide the rest."""

import re

import numpy as np
import pytest
import xarray as xr

from dynamics import results
from dynamics.analysis import curves
from dynamics.figures import masked as figures
from dynamics.figures import style
from dynamics.report import masked, page

STEPS, LEVELS = (0, 8, 64, 512), (0.8, 0.1, 0.3, 0.6)


def units(num_seeds: int, spread: float = 0.02):
    """Two models, of whose seeds the pairs differ by `spread` of their level."""
    rng = np.random.default_rng(0)
    for model, scale in (("small-8", 1.0), ("large-16", 2.0)):
        for step, level in zip(STEPS, LEVELS, strict=True):
            kl = scale * level * np.exp(spread * rng.standard_normal((num_seeds, num_seeds, 4)))
            kl[np.eye(num_seeds, dtype=bool)] = 0
            flat = {
                name: (("seed", "document"), np.full((num_seeds, 4), 5 - scale * step / 512))
                for name in NAMES
            }
            data = {
                **flat,
                "kl": (("seed", "other", "document"), kl),
                "max_logit": ("seed", np.ones(num_seeds)),
            }
            data |= {"js": (("seed", "other", "document"), kl / 8)}
            data |= {
                name: (("window", "position"), np.ones((4, 3))) for name in ("kl_token", "js_token")
            }
            unit = results.Unit(
                measure="masked", model=model, seeds=tuple(range(num_seeds)), step=step
            )
            yield unit, xr.Dataset(data, {"tokens": ("document", np.full(4, 3.0))})


NAMES = ("surprisal", "entropy", "kl_uniform", "kl_unigram")


def made(num_seeds: int, **kwargs):
    found = curves.divergences(list(units(num_seeds, **kwargs)))
    return masked.section(found, style.Look([one.model for one in found])), found


def test_captions_follow_the_numbers():
    section, _ = made(4)
    kl, loss, _ = (panel.caption for panel in section.panels)
    assert re.search(
        r"small-8 starts at 0\.\d+, falls to 0\.1\d* at step 8, and rises to 0\.\d+ by step 512", kl
    )
    assert "mean over 12 hidden tokens of 4 documents and the ordered pairs of 4 seeds" in kl
    assert "large-16 starts at 5.00 and ends at 3.00 at step 512" in loss


def test_two_seeds_have_no_band_and_say_so():
    section, _ = made(2)
    assert (
        "No band: an interval over seeds needs three, and there are 2." in section.panels[0].caption
    )


def test_bands_do_not_press_the_curves_to_the_floor():
    section, found = made(3, spread=2.0)
    (ax,) = section.panels[0].draw().axes
    curve = [curves.seed_kl(one) for one in found]
    greatest = max(one.value.max() for one in curve)
    assert greatest < ax.get_ylim()[1] <= 1.4 * greatest + 1e-9
    cut = sum(int((one.high > ax.get_ylim()[1]).sum()) for one in curve)
    assert cut
    assert section.panels[0].caption.endswith(f"{cut} of them reach above the panel.")


@pytest.mark.parametrize("draw", [figures.seed_kl, figures.loss, figures.unigram])
def test_panels_hold_every_model_and_step(draw):
    _, found = made(3)
    (ax,) = draw(found, style.Look([one.model for one in found])).axes
    assert ax.get_ylabel().endswith("(nats)")
    assert ax.get_xlabel() == "training step"
    assert [line.get_xdata().tolist() for line in ax.lines] == [list(STEPS)] * 2
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == [
        one.model for one in found
    ]


def test_the_page_has_the_section_where_there_are_masked_models(tmp_path):
    store = results.Store(tmp_path)
    for unit, data in units(3):
        store.write(unit, data, {"suite": "toy"}, {"weights": [], "corpus": {"name": "text"}})
    text = page.write(store, "toy", tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Do masked models fill a gap alike?" in text
    assert "at a mask" in text
    assert re.search(r"Divergence between seeds at a mask, nats: small-8 starts at 0\.\d", text)
    assert "Not measured here" not in text  # nothing that a masked model could be asked

"""The page to read: its numbers are the committed ones, its words cannot break it, its slider
moves colours.

Axes: S seeds, W passages, T tokens, R ranks.
"""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from dynamics.figures.style import Look
from dynamics.questions import Committed, reading, site
from dynamics.questions.reading import record
from dynamics.results import Store, Unit

PIECES = ("the", " </script><b>", "&amp;", "\n", " é", "\u2028", '"', "\\")
STEPS, SEEDS, WINDOWS, TOKENS, RANKS = (0, 8, 64), 2, 2, 9, 3


def passages(step: int, rng, seeds: int = SEEDS) -> record.Record:
    """Random numbers, and words among them that an HTML page may stumble over."""
    shape = (WINDOWS, TOKENS - 1)
    places = np.arange(WINDOWS * TOKENS).reshape(WINDOWS, TOKENS) % len(PIECES)
    return record.Record(
        seeds=tuple(range(seeds)),
        tokens=places + 10,
        kl=(step + 1) * rng.exponential(0.01, shape).astype(np.float32),
        surprisal=rng.exponential(4, (seeds, *shape)).astype(np.float32),
        top_id=rng.integers(10, 10 + len(PIECES), (seeds, *shape, RANKS)),
        top_probability=rng.random((seeds, *shape, RANKS)).astype(np.float32),
        ids=np.arange(10, 10 + len(PIECES)),
        pieces=PIECES,
        titles=("first", "<second>"),
    )


def records(models=("toy-8", "toy-32"), seeds: int = SEEDS) -> dict[str, dict[int, record.Record]]:
    """model -> step -> its record."""
    generators = {model: np.random.default_rng(len(model)) for model in models}
    return {
        model: {step: passages(step, rng, seeds) for step in STEPS}
        for model, rng in generators.items()
    }


def units(by_model=None):
    """[(unit, data)] of the records."""
    return [
        (
            Unit(measure=record.MEASURE, model=model, seeds=read.seeds, step=step),
            record.to_dataset(read),
        )
        for model, steps in (by_model or records()).items()
        for step, read in steps.items()
    ]


def find(pairs) -> reading.Passages:
    passages_read = reading.find(Committed({record.MEASURE: pairs}))
    assert passages_read is not None
    return passages_read


def document(pairs) -> str:
    return reading.QUESTION.section(find(pairs), Look([])).document([])


def embedded(html: str) -> dict:
    """What the page's own script reads."""
    form = r'<script type="application/json" id="data">(.*?)</script>'
    (text,) = re.findall(form, html, re.DOTALL)
    return json.loads(text)


def test_numbers_are_the_committed_ones_to_their_rounding():
    by_model = records()
    shown = embedded(document(units(by_model)))
    assert [model["name"] for model in shown["models"]] == ["toy-8", "toy-32"]
    for model in shown["models"]:
        for k, step in enumerate(model["steps"]):
            read = by_model[model["name"]][step]
            exact = {
                "kl": read.kl,
                "surprisal": read.surprisal,
                "probability": read.top_probability,
            }
            for name, values in exact.items():
                unit = shown["units"][name]
                error = np.abs(np.array(model[name][k]) * unit - values).max()
                assert error <= unit / 2 + 1e-6
            words = np.array(shown["words"], object)
            likeliest = np.array(PIECES, object)[read.top_id - 10]
            assert (words[np.array(model["top"][k])] == likeliest).all()
    first = shown["passages"][0]["tokens"]
    assert [shown["words"][k] for k in first] == [PIECES[k % len(PIECES)] for k in range(TOKENS)]


def test_the_largest_set_of_seeds_is_read():
    pairs = units(records(("toy-8",)))
    single = units(records(("toy-8",), seeds=1))
    assert find([*single, *pairs]).payload == find(pairs).payload


def test_one_scale_for_all_models_whatever_is_not_finite():
    by_model = records()
    by_model["toy-8"][0].kl[0, 0] = np.nan
    shown = embedded(document(units(by_model)))
    assert shown["models"][0]["kl"][0][0][0] is None
    assert shown["models"][0]["kl"][0][0][1] is not None
    every = [read.kl for steps in by_model.values() for read in steps.values()]
    highest = max(np.nanquantile(kl, 0.95) for kl in every)
    assert shown["most"] == pytest.approx(highest, rel=0.5)


def brightness(colour: str) -> float:
    """Relative luminance of #rrggbb, WCAG 2.2."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_ink_is_legible_on_the_strongest_shade_and_shades_run_one_way():
    style = Path(reading.__file__).with_name("reading.html").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--(\w+): (#\w{6})", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    assert len(themes) == 2  # light and dark
    for theme in themes:
        ink, card, hot = (brightness(theme[name]) for name in ("ink", "card", "hot"))
        # From the ground towards the ink: no shade lies beyond it.
        assert min(ink, card) < hot < max(ink, card)
        assert (max(ink, hot) + 0.05) / (min(ink, hot) + 0.05) >= 4.5


def test_words_cannot_end_the_script_nor_ask_the_network():
    html = document(units())
    assert html.count("</script>") == 2  # the data's and the script's own
    assert "://" not in html


def test_the_site_has_it_with_a_policy_of_its_own(tmp_path):
    store = Store(tmp_path)
    for unit, data in units(records(("toy-8",))):
        store.write(unit, data, {}, {})
    overview = site.write(store, "toy", tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'href="report/reading.html"' in overview
    page = (tmp_path / "report" / "reading.html").read_text(encoding="utf-8")
    assert embedded(page)["words"] == list(PIECES)
    assert "Content-Security-Policy" in page
    assert 'href="../report.html"' in page


def colours(driver) -> list[str]:
    """Of every token of the passage."""
    tokens = "[...document.querySelectorAll('.token')]"
    shade = "token => getComputedStyle(token).backgroundColor"
    return driver.execute_script(f"return {tokens}.map({shade})")


def _point(driver, token: int | None):
    """Moves the mouse over a token of the passage, or away from it."""
    from selenium.webdriver.common.action_chains import ActionChains

    target = "h1" if token is None else f".token[data-at='{token}']"
    ActionChains(driver).move_to_element(driver.find_element("css selector", target)).perform()


@pytest.mark.long
def test_a_browser_moves_through_training(tmp_path):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium")
    pytest.importorskip("selenium")
    path = Path(__file__).parents[2] / "launch" / "screenshots.py"
    spec = importlib.util.spec_from_file_location("screenshots", path)
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)
    store = Store(tmp_path)
    for unit, data in units():
        store.write(unit, data, {}, {})
    report = site.write(store, "toy", tmp_path / "report.html")
    assert screenshots.capture(report, tmp_path / "pictures") == []
    target = tmp_path / "report" / "reading.html"
    driver = screenshots.browser()
    try:
        driver.set_window_size(1280, 900)
        driver.get(target.as_uri())
        last, label = colours(driver), driver.find_element("id", "label").text
        assert label.startswith("64: mean of this passage")
        slider = "const slider = document.getElementById('step'); slider.value = 0;"
        driver.execute_script(f"{slider} slider.dispatchEvent(new Event('input'))")
        assert driver.find_element("id", "label").text.startswith("0: mean of this passage")
        assert sum(a != b for a, b in zip(last, colours(driver), strict=True)) > TOKENS // 2
        driver.find_element("id", "step").send_keys("\ue014")  # the slider by its keyboard
        assert driver.find_element("id", "label").text.startswith("8: mean of this passage")
        driver.execute_script("document.querySelectorAll('.token')[0].click()")
        detail = driver.find_element("id", "detail").text
        assert "</script><b>" in detail
        assert "Seed 1: surprisal" in detail
        driver.find_element("css selector", ".selected").send_keys("\ue014")  # the right arrow
        assert "&amp;" in driver.find_element("css selector", "#detail h2").text
        _point(driver, 5)  # passing over another token on the way to the slider
        assert '"' in driver.find_element("css selector", "#detail h2").text
        _point(driver, None)
        assert "&amp;" in driver.find_element("css selector", "#detail h2").text
        assert driver.save_screenshot(str(tmp_path / "moved.png"))
    finally:
        driver.quit()

"""The page to read: its numbers are the committed ones, its words cannot break it, and its slider
moves colours."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics.report import page, reading
from dynamics.results import Store, Unit

PIECES = ["the", " </script><b>", "&amp;", "\n", " é", "\u2028", '"', "\\"]
STEPS, SEEDS, WINDOWS, TOKENS, RANKS = (0, 8, 64), 2, 2, 9, 3


def committed(models=("toy-8", "toy-32")):
    """[(unit, data)] of random numbers, words among them that an HTML page may stumble over."""
    found = []
    for model in models:
        rng = np.random.default_rng(len(model))
        for step in STEPS:
            shape, token = (WINDOWS, TOKENS - 1), ("window", "position")
            data = {
                "token": (
                    ("window", "place"),
                    np.arange(WINDOWS * TOKENS).reshape(WINDOWS, TOKENS) % len(PIECES) + 10,
                ),
                "kl": (token, (step + 1) * rng.exponential(0.01, shape).astype(np.float32)),
                "surprisal": (
                    ("seed", *token),
                    rng.exponential(4, (SEEDS, *shape)).astype(np.float32),
                ),
                "top_id": (
                    ("seed", *token, "rank"),
                    rng.integers(10, 10 + len(PIECES), (SEEDS, *shape, RANKS)),
                ),
                "top_probability": (
                    ("seed", *token, "rank"),
                    rng.random((SEEDS, *shape, RANKS)).astype(np.float32),
                ),
            }
            places = {
                "id": np.arange(10, 10 + len(PIECES)),
                "piece": ("id", np.array(PIECES, object)),
                "title": ("window", np.array(["one", "<two>"], object)),
            }
            unit = Unit(measure="reading", model=model, seeds=(0, 1), step=step)
            found.append((unit, xr.Dataset(data, places)))
    return found


def embedded(html: str) -> dict:
    """What the page's own script reads."""
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL
    )
    return json.loads(text)


def test_numbers_are_the_committed_ones_to_their_rounding():
    pairs = committed()
    shown = embedded(reading.render(pairs, "toy"))
    assert [one["name"] for one in shown["models"]] == ["toy-8", "toy-32"]
    for unit, data in pairs:
        (model,) = (one for one in shown["models"] if one["name"] == unit.model)
        k = model["steps"].index(unit.step)
        for name, variable in {
            "kl": "kl",
            "surprisal": "surprisal",
            "probability": "top_probability",
        }.items():
            value = np.array(model[name][k]) * shown["units"][name]
            assert np.abs(value - data[variable].values).max() <= shown["units"][name] / 2 + 1e-6
        words = np.array(shown["words"], object)
        assert (
            words[np.array(model["top"][k])] == np.array(PIECES, object)[data["top_id"].values - 10]
        ).all()
    tokens = [shown["words"][word] for word in shown["passages"][1]["tokens"]]
    assert tokens == [PIECES[(TOKENS + t) % len(PIECES)] for t in range(TOKENS)]


def test_the_largest_set_of_seeds_is_read():
    pairs = committed(("toy-8",))
    single = [
        (Unit(measure="reading", model="toy-8", seeds=(0,), step=u.step), d.isel(seed=[0]))
        for u, d in pairs
    ]
    assert reading.payload(sorted([*single, *pairs], key=lambda pair: pair[0])) == reading.payload(
        pairs
    )


def test_one_scale_for_all_models_whatever_is_not_finite():
    pairs = committed()
    pairs[0][1]["kl"][0, 0] = np.nan
    shown = embedded(reading.render(pairs, "toy"))
    assert shown["models"][0]["kl"][0][0][0] is None
    assert shown["models"][0]["kl"][0][0][1] is not None
    highest = max(np.nanquantile(data["kl"].values, 0.95) for _, data in pairs)
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
        assert (
            min(ink, card) < hot < max(ink, card)
        )  # from the ground towards the ink: no shade lies beyond it
        assert (max(ink, hot) + 0.05) / (min(ink, hot) + 0.05) >= 4.5


def test_words_cannot_end_the_script_nor_ask_the_network():
    html = reading.render(committed(), "toy </title>")
    assert html.count("</script>") == 2  # the data's and the script's own
    assert "toy &lt;/title&gt;" in html
    assert "://" not in html


def test_it_is_written_beside_the_report_or_not_at_all(tmp_path):
    store = Store(tmp_path)
    assert reading.write(store, "toy", tmp_path) is None
    for unit, data in committed(("toy-8",)):
        store.write(unit, data, {}, {})
    assert reading.write(store, "toy", tmp_path) == tmp_path / "reading.html"
    assert embedded((tmp_path / "reading.html").read_text(encoding="utf-8"))["words"] == PIECES
    report = page.write(store, "toy", tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'href="reading.html"' in report
    assert f"reading: {len(STEPS)} units" in report


def colours(driver) -> list[str]:
    script = "return [...document.querySelectorAll('.token')].map(t => getComputedStyle(t).backgroundColor)"
    return driver.execute_script(script)


def _point(driver, token: int | None):
    """Moves the mouse over a token of the passage, or away from it."""
    from selenium.webdriver.common.action_chains import ActionChains

    target = "h1" if token is None else f".token[data-at='{token}']"
    ActionChains(driver).move_to_element(driver.find_element("css selector", target)).perform()


def test_a_browser_moves_through_training(tmp_path):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium")
    pytest.importorskip("selenium")
    sys.path.append(str(Path(__file__).parents[2] / "launch"))
    import screenshots

    target = tmp_path / "reading.html"
    target.write_text(reading.render(committed(), "toy"), encoding="utf-8")
    assert (
        screenshots.capture(target, tmp_path / "pictures") == []
    )  # no sideways scroll, request or error
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 4
    driver = screenshots.browser()
    try:
        driver.set_window_size(1280, 900)
        driver.get(target.as_uri())
        last, label = colours(driver), driver.find_element("id", "label").text
        assert label.startswith("64: mean of this passage")
        move = "const s = document.getElementById('step'); s.value = 0; s.dispatchEvent(new Event('input'))"
        driver.execute_script(move)
        assert driver.find_element("id", "label").text.startswith("0: mean of this passage")
        assert sum(a != b for a, b in zip(last, colours(driver), strict=True)) > TOKENS // 2
        driver.find_element("id", "step").send_keys("\ue014")  # the slider by its keyboard
        assert driver.find_element("id", "label").text.startswith("8: mean of this passage")
        driver.execute_script("document.querySelectorAll('.token')[0].click()")
        told = driver.find_element("id", "detail").text
        assert "</script><b>" in told
        assert "Seed 1: surprisal" in told
        driver.find_element("css selector", ".chosen").send_keys("\ue014")  # the right arrow
        assert "&amp;" in driver.find_element("css selector", "#detail h2").text
        _point(driver, 5)  # passing over another token on the way to the slider
        assert '"' in driver.find_element("css selector", "#detail h2").text
        _point(driver, None)
        assert "&amp;" in driver.find_element("css selector", "#detail h2").text
        assert driver.save_screenshot(str(tmp_path / "moved.png"))
    finally:
        driver.quit()

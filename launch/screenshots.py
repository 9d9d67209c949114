"""Pictures of a report as a browser shows it, and what is wrong with it.

    python launch/screenshots.py results/nano/report.html --out=screenshots

Every page of the site, with all that is folded open, on a phone, a small and a large desktop, in
the light and the dark scheme, and as it is printed; the overview also as it opens. With
--axe=axe.min.js, the script of npm's axe-core, each is checked for accessibility too.

Needs chromium, chromedriver (Debian: apt-get install chromium chromium-driver) and selenium. Exit
code 1 if a page scrolls sideways, asks any network for anything, writes an error to the console,
shows a card more than a fifth of which is empty, a figure whose labels overlap or of which no value
is read, breaks one of axe's rules seriously, or if the overview is longer than two screens.
"""

import argparse
import base64
import json
import shutil
import sys
from pathlib import Path

WIDTHS = (390, 1024, 1440)
SCHEMES = ("light", "dark")
PAPER = {"printBackground": False, "paperWidth": 8.27, "paperHeight": 11.69}  # inches: A4
MOST_EMPTY = 0.2  # of a card
SCREEN = (1440, 1000)  # width and height in pixels, of which the overview fills two at most

# The share of each card that is farther than a line's height from anything in it.
EMPTY_CARDS = """
const apart = 14, grid = 6, shares = [];
const pieces = ".name, .sheet svg, figcaption > bdi, summary, .downloads, .scroll, .note";
for (const card of document.querySelectorAll(".card")) {
  const box = card.getBoundingClientRect();
  if (!box.height) continue;
  const boxes = [...card.querySelectorAll(pieces)].flatMap(piece => [...piece.getClientRects()]);
  let empty = 0, all = 0;
  for (let x = box.left + grid / 2; x < box.right; x += grid)
    for (let y = box.top + grid / 2; y < box.bottom; y += grid) {
      all += 1;
      empty += !boxes.some(b => x > b.left - apart && x < b.right + apart &&
                                y > b.top - apart && y < b.bottom + apart);
    }
  shares.push([card.id, empty / all]);
}
return shares;
"""

# Pairs of texts of one figure of which one lies on the other, by more than a pixel.
OVERLAPS = """
const overlaps = [];
for (const svg of document.querySelectorAll(".sheet svg")) {
  const texts = [...svg.querySelectorAll("text")].filter(text => text.textContent.trim());
  const boxes = texts.map(text => text.getBoundingClientRect()).map(b => b.width ? b : null);
  for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) {
    const [a, b] = [boxes[i], boxes[j]];
    if (a && b && Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.2 * Math.min(a.height, b.height))
      overlaps.push([svg.closest("figure").id, texts[j].textContent, texts[i].textContent]);
  }
}
return overlaps;
"""


# Figures of which the pointer and the arrow keys read no value.
WITHOUT_READINGS = """
const node = document.getElementById("readings");
const plots = node ? JSON.parse(node.textContent).plots : {};
return Object.keys(plots).filter(plot => !plots[plot].panels.length);
"""


def browser():
    """A headless chromium that logs its requests. Raises FileNotFoundError where there is none."""
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        raise FileNotFoundError(
            "chromium and chromedriver; on Debian: apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def pages(report: Path) -> list[Path]:
    """The overview, and the pages in the folder beside it."""
    return [report, *sorted(report.with_suffix("").glob("*.html"))]


def capture(report: Path, out: Path, axe: str = "") -> list[str]:
    """Writes a PNG per page, width and scheme and a PDF per page under `out`.

    `axe` is the source of axe-core; "" for no check by it. Returns what is wrong with the site, a
    line for each fault.
    """
    out.mkdir(parents=True, exist_ok=True)
    driver, faults = browser(), []
    try:
        for page in pages(report):
            for width in WIDTHS:
                for scheme in SCHEMES:
                    show(driver, page, width, scheme)
                    where = f"{page.name}, {width} px, {scheme}"
                    seen = _faults(driver, width) + (_barriers(driver, axe) if axe else [])
                    faults += [f"{where}: {fault}" for fault in seen]
                    _save(driver, out / f"{page.stem}-{width}-{scheme}.png")
            printed = driver.execute_cdp_cmd("Page.printToPDF", PAPER)
            (out / f"{page.stem}.pdf").write_bytes(base64.b64decode(printed["data"]))
        faults += _as_it_opens(driver, report, out)
    finally:
        driver.quit()
    return faults


def show(driver, page: Path, width: int, scheme: str, unfold: bool = True):
    """Opens a page at a width and in a scheme, with all of it in the window."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(page.resolve().as_uri())
    if unfold:
        folded = "document.querySelectorAll('details:not(.numbers)')"
        driver.execute_script(f"{folded}.forEach(node => {{ node.open = true; }})")
    height = driver.execute_script("return document.documentElement.scrollHeight")
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**metrics, "height": height})


def _as_it_opens(driver, report: Path, out: Path) -> list[str]:
    show(driver, report, SCREEN[0], "light", unfold=False)
    _save(driver, out / f"{report.stem}-as-it-opens.png")
    height = driver.execute_script("return document.documentElement.scrollHeight")
    return [f"{report.name} is {height} px long"] if height > 2 * SCREEN[1] else []


def _save(driver, path: Path):
    picture = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    path.write_bytes(base64.b64decode(picture["data"]))


def _faults(driver, width: int) -> list[str]:
    faults = [*_requests(driver), *_errors(driver)]
    reach = driver.execute_script("return document.documentElement.scrollWidth")
    if reach > width:
        faults.append(f"scrolls sideways, {reach} px wide")
    faults += [
        f"card {card} is {100 * share:.0f} % empty"
        for card, share in driver.execute_script(EMPTY_CARDS)
        if share > MOST_EMPTY
    ]
    faults += [f"nothing is read off {plot}" for plot in driver.execute_script(WITHOUT_READINGS)]
    faults += [
        f"labels of {card} overlap: {first!r} and {second!r}"
        for card, first, second in driver.execute_script(OVERLAPS)
    ]
    return faults


def _barriers(driver, axe: str) -> list[str]:
    """Rules of axe-core that the page breaks seriously, with the first element that does."""
    driver.execute_script(axe)
    run = "axe.run().then(report => arguments[0](report.violations))"
    return [
        f"{rule['impact']}: {rule['help']}, {rule['nodes'][0]['html'][:120]}"
        for rule in driver.execute_async_script(run)
        if rule["impact"] in ("serious", "critical")
    ]


def _requests(driver) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    addresses = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    local = ("file:", "data:", "blob:", "about:", "chrome:")
    return [f"asks for {address[:200]}" for address in addresses if not address.startswith(local)]


def _errors(driver) -> list[str]:
    entries = driver.get_log("browser")
    return [f"console: {entry['message']}" for entry in entries if entry["level"] == "SEVERE"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Pictures of a report, and its faults.")
    parser.add_argument("report", type=Path)
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    parser.add_argument("--axe", type=Path, help="axe.min.js of npm's axe-core")
    arguments = parser.parse_args()
    try:
        axe = arguments.axe.read_text(encoding="utf-8") if arguments.axe else ""
        faults = capture(arguments.report, arguments.out, axe)
    except FileNotFoundError as error:
        faults = [f"missing: {error}"]
    print("\n".join(faults) or f"pictures in {arguments.out}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

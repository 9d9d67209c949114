"""Pictures of a report as a browser shows it: phone and desktop, light and dark.

    python launch/screenshots.py results/nano/report.html --out=screenshots

Needs chromium, chromedriver (Debian: apt-get install chromium chromium-driver) and selenium. Exit
code 1 if the page scrolls sideways, asks any network for anything, or writes an error to the
console.
"""

import argparse
import base64
import json
import shutil
import sys
from pathlib import Path

WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")


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


def capture(page: Path, out: Path) -> list[str]:
    """Writes a PNG per width and scheme under `out` and returns what is wrong with the page."""
    out.mkdir(parents=True, exist_ok=True)
    driver, faults = browser(), []
    try:
        for width in WIDTHS:
            for scheme in SCHEMES:
                _show(driver, page, width, scheme)
                faults += [f"{width} px, {scheme}: {fault}" for fault in _faults(driver, width)]
                picture = driver.execute_cdp_cmd(
                    "Page.captureScreenshot", {"captureBeyondViewport": True}
                )
                (out / f"{page.stem}-{width}-{scheme}.png").write_bytes(
                    base64.b64decode(picture["data"])
                )
    finally:
        driver.quit()
    return faults


def _show(driver, page: Path, width: int, scheme: str):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(page.resolve().as_uri())
    height = driver.execute_script("return document.documentElement.scrollHeight")
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**metrics, "height": height})


def _faults(driver, width: int) -> list[str]:
    found = []
    reach = driver.execute_script("return document.documentElement.scrollWidth")
    if reach > width:
        found.append(f"scrolls sideways, {reach} px wide")
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            address = message["params"]["request"]["url"]
            if not address.startswith(("file:", "data:", "blob:", "about:", "chrome:")):
                found.append(f"asks for {address[:200]}")
    found += [
        f"console: {entry['message']}"
        for entry in driver.get_log("browser")
        if entry["level"] == "SEVERE"
    ]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    arguments = parser.parse_args()
    try:
        faults = capture(arguments.page, arguments.out)
    except FileNotFoundError as error:
        faults = [f"missing: {error}"]
    print("\n".join(faults) or f"pictures in {arguments.out}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

"""In a real browser: names of any characters are said, run nothing and ask no network."""

import json
import shutil
import warnings

import made_results
import pytest

from dynamics.questions import site
from dynamics.results import Store

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # of the driver, and of glyphs that no font has
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")), reason="needs chromium"
    ),
]
NAMES = {
    "a script": '<script>document.title = "ran"</script>',
    "an image": '"><img src=http://nowhere.test/x onerror=document.title="ran">',
    "an end of a script": '</script></style></title><script>document.title="ran"</script>',
    "quotes": 'it\'s "quoted" & `ticked`',
    "backslashes": r"back\d \g<0> \\",
    "a formula": r"$\frac{1}{0}$ and $ alone",
    "right to left": "\u202eright to left\u202c",
    "zero width": "ze\u200bro\u200d wi\ufeffdth",
    "a template": "{{ 7 * 7 }} {% raw %}",
    "an event": "x' onload='document.title=\"ran\"",
    "an address": "javascript:document.title='ran'",
}


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A site of models of all these names, in a suite of all these names."""
    store = Store(tmp_path_factory.mktemp("results"))
    for name in NAMES.values():
        provenance = {
            "weights": [{"source": name, "sha256": {name: name}}],
            "corpus": {"name": name, "sha256": name},
        }
        for measure in ("reading", "audit", "minimal_pairs"):
            for unit, data in made_results.units(measure, name):
                store.write(unit, data, {name: name}, provenance)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        overview = site.write(store, " ".join(NAMES.values()), store.root / "report.html")
    return [overview, *sorted((store.root / "report").glob("*.html"))]


def test_names_run_nothing_and_ask_nothing(browser, pages):
    for page in pages:
        browser.get_log("performance")
        browser.get(page.as_uri())
        browser.execute_script(
            "document.querySelectorAll('details').forEach(node => node.open = true)"
        )
        assert browser.title != "ran", page
        assert browser.execute_script("return document.images.length") == 0
        events = [
            json.loads(entry["message"])["message"] for entry in browser.get_log("performance")
        ]
        requests = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        assert {url for url in requests if not url.startswith(("data:", "blob:"))} == {
            page.as_uri()
        }
        assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_name_is_said_as_it_is(browser, pages, name):
    for page in pages[:2]:
        browser.get(page.as_uri())
        assert name in browser.execute_script("return document.body.textContent"), page

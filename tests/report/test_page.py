"""The page says what the store holds, needs nothing but itself, and tells what is absent."""

import html.parser
import importlib.util
import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from dynamics import results
from dynamics.analysis import uncertainty
from dynamics.errors import InputError
from dynamics.report import page, words

STEPS, MODELS, SEEDS = (0, 1, 2, 8, 32), ("toy-8", "toy-16"), (0, 1, 2)
PROVENANCE = {
    "weights": [{"source": "org/toy", "sha256": {"model.safetensors": "ab" * 32}}],
    "corpus": {"name": "text"},
}
MATRICES = ("embed", "unembed", "unembed_centred", "mlp_up")


def convergence(step: int, scale: float, num_seeds: int) -> xr.Dataset:
    rng = np.random.default_rng(step)
    level = 0.4 - 0.2 * (step > 1) + 0.3 * (step > 20)
    kl = scale * level * rng.uniform(0.9, 1.1, (num_seeds, num_seeds, 6))
    kl[np.eye(num_seeds, dtype=bool)] = 0
    scalar = rng.uniform(2, 3, (num_seeds, 6))
    data = dict.fromkeys(
        ("surprisal", "entropy", "kl_uniform", "kl_unigram"), (("seed", "document"), scalar)
    )
    data |= {"kl": (("seed", "other", "document"), kl), "max_logit": ("seed", np.ones(num_seeds))}
    data["kl_token"] = (("window", "position"), rng.exponential(level, (4, 9)))
    return xr.Dataset(data, {"tokens": ("document", np.arange(1.0, 7.0))})


def llc(step: int, verdict: str) -> xr.Dataset:
    trace = 3 + np.random.default_rng(step).normal(0, 0.01, (4, 20)) + 0.05
    names = (
        "rhat",
        "ess",
        "eps_a",
        "relative_distance",
        "localization_share",
        "chain_loss_sem",
        "init_loss_sem",
    )
    data = {
        "llc": 50.0 + step,
        "sem": 2.0,
        "init_loss": 3.0,
        "chain_loss": 3.05,
        "trivial_loss": 6.0,
    }
    data |= {
        "nbeta": 1000.0,
        "localization": 3000.0,
        "step_size": 1e-5,
        **dict.fromkeys(names, 0.1),
    }
    data |= {"loss_trace": (("chain", "draw"), trace), "per_chain": ("chain", np.full(4, 50.0))}
    return xr.Dataset(
        data, attrs={"verdict": verdict, "sentence": "A sentence.", "warnings": "biased, negative"}
    )


def audit() -> xr.Dataset:
    states = [1, 3, *[1] * (len(STEPS) - 3), 2]
    told = [
        [STEPS[1], "duplicate", "the weights of step <9>", True],
        [STEPS[-1], "remark", "an outlier", False],
    ]
    attributes = {
        "findings": json.dumps(told),
        "fate": "left out of every figure below",
        "weights_read": "false",
    }
    return xr.Dataset({"state": ("step", states)}, {"step": list(STEPS)}, attributes)


def weights(step: int) -> xr.Dataset:
    center = np.linspace(-1, 1, 21)
    counts = np.tile((1000 * np.exp(-8 * center**2)).astype(int), (len(MATRICES), 1))
    flat = {
        name: ("matrix", np.full(len(MATRICES), value + step))
        for name, value in (("sd", 0.1), ("mean", 0.0))
    }
    data = {"counts": (("matrix", "bin"), counts), **flat, "excess_kurtosis": flat["mean"]}
    data |= {name: ("matrix", np.zeros(len(MATRICES), int)) for name in ("below", "above")}
    return xr.Dataset(data, {"matrix": list(MATRICES), "center": ("bin", center)})


def fill(root: Path, measures=page.MEASURES, num_seeds: int = 3) -> results.Store:
    store, seeds = results.Store(root), SEEDS[:num_seeds]

    def put(measure, model, chosen, step, data):
        unit = results.Unit(measure=measure, model=model, seeds=chosen, step=step)
        store.write(unit, data, {"suite": "toy", "burn_in": 5}, PROVENANCE)

    ngram = xr.Dataset({"cross_entropy": ("order", [5.0, 2.6, 1.0])}, {"order": [1, 2, 3]})
    ends = {"trace": 5.0, "trace_sem": 1.0, "largest": 3.0, "largest_error": 0.1, "smallest": -2.0}
    ends |= dict.fromkeys(
        ("gauss_newton_trace", "effective_rank", "learning_rate", "smallest_error", "loss"), 1.5
    )
    ends |= {"part_trace": ("part", [6.0, -1.0]), "part_trace_sem": ("part", [0.2, 0.1])}
    ends |= dict.fromkeys(("gauss_newton_trace_sem", "effective_rank_sem"), 0.1)
    hessian = xr.Dataset(ends, {"part": ["embed", "layers.0"]})
    if "ngram" in measures:
        put("ngram", "kneser-ney", (0,), 0, ngram)
    if "audit" in measures:
        for model in MODELS:
            put("audit", model, (0,), 0, audit())
    for model, scale in zip(MODELS, (1.0, 1.5), strict=True):
        for step in STEPS:
            verdict = "local" if step > 1 else "no basin to leave"
            made = {
                "convergence": (seeds, convergence(step, scale, num_seeds)),
                "llc": ((0,), llc(step, verdict)),
                "curvature": ((0,), hessian * (1 + step)),
                "weights": ((0,), weights(step)),
            }
            for measure in set(made) & set(measures):
                put(measure, model, made[measure][0], step, made[measure][1])
    return store


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, results.Store]:
    store = fill(tmp_path_factory.mktemp("full"))
    return page.write(store, "toy", store.root / "report.html"), store


@pytest.fixture(scope="module")
def text(written) -> str:
    return written[0].read_text(encoding="utf-8")


class Elements(html.parser.HTMLParser):
    """Every start tag with its attributes, and that tags close in the order they opened."""

    VOID = ("meta", "link", "br", "use", "path", "image", "rect", "stop", "img")

    def __init__(self, text: str):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def numbers(text: str) -> dict:
    return json.loads(re.search(r'id="numbers">(.*?)</script>', text, re.S)[1])


def test_needs_nothing_but_itself(text):
    assert not re.search(r"https?://", text)
    for tag, attributes in Elements(text).found:
        for name in ("src", "href", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


def test_is_well_formed_with_unique_ids_and_no_dangling_reference(text):
    elements = Elements(text)
    assert not elements.open
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(ids)
    assert {
        a["href"][1:] for _, a in elements.found if (a.get("href") or "").startswith("#")
    } <= set(ids)


def test_every_figure_has_a_picture_with_a_name_and_a_caption(text):
    figures = re.findall(r"<figure.*?</figure>", text, re.S)
    assert len(figures) >= 15
    for figure in figures:
        assert re.search(r'<svg role="img" aria-label="[^"]+"', figure)
        assert len(re.search(r"<figcaption>(.*?)</figcaption>", figure, re.S)[1]) > 30
        assert not re.search(
            r"\b(nan|inf|None)\b", re.sub(r"<svg.*?</svg>", "", figure, flags=re.S)
        )


def test_theme_decides_every_ink(text):
    pictures = "".join(re.findall(r"<svg.*?</svg>", text, re.S))
    assert "#1b1f24" not in pictures
    assert "var(--model-0)" in pictures
    for name in set(re.findall(r"var\(--([\w-]+)\)", text)):
        assert text.count(f"--{name}:") == 2 if name.startswith("model") else f"--{name}:" in text


def test_numbers_are_those_of_the_store(text, written):
    shown, store = numbers(text), written[1]
    for unit, data in store.committed("convergence"):
        found = uncertainty.seed_interval(data["kl"].values, data["tokens"].values)
        drawn = shown["seed_kl"][unit.model]
        at = drawn["steps"].index(unit.step)
        np.testing.assert_allclose(
            [drawn[name][at] for name in ("value", "low", "high")],
            [found.mean, found.low, found.high],
            rtol=1e-12,
        )
    for unit, data in store.committed("llc"):
        drawn = shown["llc"][unit.model]
        at = drawn["steps"].index(unit.step)
        assert drawn["value"][at] == float(data["llc"])
        assert drawn["high"][at] == float(data["llc"] + data["sem"])


def test_table_and_verdict_counts(text):
    rows = re.findall(r"<tr>(<td data-name=.*?)</tr>", text)
    cells = [dict(re.findall(r'<td data-name="([^"]*)">(.*?)</td>', row)) for row in rows]
    assert [row["model"] for row in cells] == ["toy-8", "toy-16"]
    for row in cells:
        kl = numbers(text)["seed_kl"][row["model"]]
        assert row["final KL"] == words.number(kl["value"][-1])
        assert row["KL minimum"] == words.number(min(kl["value"]))
        assert row["LLC verdicts"] == "3 local, 2 no basin to leave"
    assert "6 of 10 estimates are local" in text


def test_tells_what_the_audit_found(text):
    total = len(MODELS) * len(STEPS)
    assert (
        f"{len(MODELS)} of {total} checkpoints are convicted (×): left out of every figure below"
        in text
    )
    assert "the weights of step &lt;9&gt;" in text
    assert text.index("an outlier") > text.rindex("duplicate")  # faults before remarks


def test_counts_the_warnings_of_estimates(text):
    total = len(MODELS) * len(STEPS)
    assert f"Warned of: {total} “biased” and {total} “negative”." in text


def test_says_how_sure_the_rise_is(text):
    assert re.search(
        r"rises to [\d.]+ by step 32; from minimum to end the rise is \d+ standard errors", text
    )


def test_absent_measures_are_named_with_the_command_that_makes_them(tmp_path):
    store = fill(tmp_path, ("convergence",))
    text = page.write(store, "toy", tmp_path / "report.html").read_text()
    for measure in ("llc", "curvature", "weights"):
        assert f"python -m experiments.{measure} --suite=toy" in text
    assert "python -m experiments.convergence" not in text
    assert "Kneser" not in text.replace("No n-gram given", "")


def test_two_seeds_get_no_band_and_are_told_so(tmp_path):
    store = fill(tmp_path, ("convergence",), num_seeds=2)
    text = page.write(store, "toy", tmp_path / "report.html").read_text()
    assert "No band: an interval over seeds needs three, and there are 2." in text
    assert set(numbers(text)["seed_kl"]["toy-8"]["low"]) == {None}


def test_only_one_other_measure_is_enough(tmp_path):
    for measure in ("llc", "weights", "curvature"):
        store = fill(tmp_path / measure, (measure,))
        assert page.write(store, "toy", tmp_path / measure / "report.html").exists()


def test_refuses_an_empty_store_and_leaves_no_half_page(tmp_path):
    with pytest.raises(InputError, match="without results"):
        page.write(results.Store(tmp_path / "none"), "toy", tmp_path / "report.html")
    assert not list(tmp_path.glob("*.html*"))


def test_provenance_and_escaping(tmp_path):
    store = fill(tmp_path, ("curvature",))
    text = page.write(store, "<b>toy</b>", tmp_path / "report.html").read_text()
    assert "<b>" not in text
    for known in ("org/toy", "ab" * 6, "revision", "jax ", "curvature: 10 units"):
        assert known in text


@pytest.mark.long
def test_renders_in_twelve_seconds_of_cpu(written):
    start = time.process_time()
    page.write(written[1], "toy", written[0])
    assert time.process_time() - start < 12


@pytest.mark.long
def test_a_browser_finds_no_fault(written, tmp_path):
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium")
    pytest.importorskip("selenium")
    path = Path(__file__).parents[2] / "launch" / "screenshots.py"
    spec = importlib.util.spec_from_file_location("screenshots", path)
    screenshots = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(screenshots)
    assert screenshots.capture(written[0], tmp_path) == []
    assert len(list(tmp_path.glob("*.png"))) == 4

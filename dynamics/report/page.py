"""A store of results to one page that needs no network: figures inline, captions from the numbers,
provenance."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dynamics import results
from dynamics.analysis import (
    audits,
    byte_divergence,
    calibration,
    curves,
    expected,
    hessians,
    known_truth,
    minimal_pairs,
    properties,
    run_stages,
    sweeps,
)
from dynamics.errors import InputError
from dynamics.figures import style
from dynamics.files import write_atomically
from dynamics.report import sections, svg, words
from dynamics.report.section import Findings

MEASURES = ("audit", "convergence", "ngram", "llc", "curvature", "weights", "reading")
MEASURES += (
    "icl",
    "calibration",
    "llc_sweeps",
    "llc_noise",
    "masked",
    "minimal_pairs",
    "text",
    "bytes",
    "truth",
)


def write(store: results.Store, suite_name: str, target: Path) -> Path:
    """Writes the page of everything that `store` holds to `target`, whole or not at all, and
    returns `target`.

    Raises InputError where the store is empty, `target` cannot be written, or a result is
    unreadable.
    """
    committed = {measure: list(store.committed(measure)) for measure in MEASURES}
    if not any(committed.values()):
        raise InputError(
            f"{store.root} without results", expected="a folder that an experiment wrote"
        )
    beside = Path(target).with_name("reading.html").is_file()
    return write_atomically(target, render(committed, suite_name, reading=beside))


def render(
    committed: Mapping[str, curves.Committed], suite_name: str, reading: bool = False
) -> str:
    """The page's HTML, with a link to reading.html beside it where there is one."""
    import jinja2

    found = findings(committed)
    look = style.Look(found.models)
    themed, variables = svg.theme(max(1, len(found.models)))
    chosen = sections.all_sections(found, look, suite_name)
    pictures = {
        panel.name: svg.inline(panel.draw(), panel.name, panel.title, themed)
        for one in chosen
        for panel in one.panels
    }
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.lstrip_blocks = True
    return environment.from_string(template).render(
        suite=suite_name,
        reading=reading,
        variables=variables,
        sections=chosen,
        pictures=pictures,
        summary=summary(found),
        rows=table(found),
        numbers=numbers(found),
        provenance=provenance(committed),
        configurations=configurations(committed),
    )


def findings(committed: Mapping[str, curves.Committed]) -> Findings:
    """Curves of all measures; `committed` maps a measure to its units."""
    hessian, ngram = committed.get("curvature", ()), committed.get("ngram", ())
    orders = {}
    for _, data in ngram:
        pairs = zip(
            data["order"].values.tolist(), data["cross_entropy"].values.tolist(), strict=True
        )
        orders |= dict(pairs)
    divergences = curves.divergences(committed.get("convergence", ()))
    scores, positions = expected.in_context_scores(committed.get("icl", ()))
    return Findings(
        divergence=divergences,
        expected=tuple(map(expected.expected, divergences)),
        in_context=tuple(scores),
        in_context_positions=positions,
        ngrams=orders,
        llc=curves.llcs(committed.get("llc", ())),
        trace=curves.scalars(hessian, "trace", "trace_sem"),
        largest=curves.scalars(hessian, "largest", "largest_error"),
        smallest=curves.scalars(hessian, "smallest", "smallest_error"),
        weights=curves.weights(committed.get("weights", ())),
        audit=audits.audit(committed.get("audit", ())),
        calibration=tuple(calibration.calibrations(committed.get("calibration", ()))),
        hessians=tuple(hessians.hessians(hessian, committed.get("llc", ()))),
        stages=tuple(run_stages.all_runs(committed)),
        sweeps=tuple(
            sweeps.sweeps(committed.get("llc_sweeps", ()), committed.get("llc_noise", ()))
        ),
        masked=tuple(curves.divergences(committed.get("masked", ()))),
        per_byte=tuple(byte_divergence.byte_divergences(committed.get("bytes", ()))),
        truth=tuple(known_truth.known_truths(committed.get("truth", ()))),
        properties=properties.properties(
            committed.get("convergence", ()), committed.get("text", ())
        ),
        pairs=tuple(minimal_pairs.judgements(committed.get("minimal_pairs", ()))),
    )


def summary(found: Findings) -> list[str]:
    """The findings in a few sentences."""
    lines = [
        f"Divergence between seeds, nats per token: {words.kl_course(one)}."
        for one in found.divergence
    ]
    for one in found.divergence:
        loss = float(curves.over_seeds(one, "surprisal").value[-1])
        beaten = [order for order, value in found.ngrams.items() if loss < value]
        rank = (
            f"better than Kneser–Ney with n = {words.listed([str(order) for order in beaten])}"
            if beaten
            else "worse than any n-gram"
        )
        rank = f", {rank} on the same text" if found.ngrams else ""
        lines.append(f"{one.model} ends at a loss of {words.number(loss)} nats per token{rank}.")
    lines += [
        f"Divergence between seeds at a mask, nats: {words.kl_course(one)}." for one in found.masked
    ]
    lines += [
        f"Divergence of the next byte, nats: {words.course(one.by_documents)}."
        for one in found.per_byte
    ]
    lines += [
        f"Divergence from the truth, nats per token: {words.course(one.to_truth)}."
        for one in found.truth
    ]
    if found.llc:
        lines.append(f"Local learning coefficient: {words.verdict_sentence(found.llc)}.")
    if found.trace:
        lines.append(f"Hessian trace: {'; '.join(map(words.course, found.trace))}.")
    return lines


def table(found: Findings) -> list[dict[str, str]]:
    """A row per model: column -> text, a dash where it was not measured."""
    rows = []
    for model in found.models:
        row: dict[str, str] = dict.fromkeys(
            ("final loss", "KL at start", "KL minimum", "at step", "final KL", "max |logit|"), "–"
        )
        for one in (one for one in (*found.divergence, *found.masked) if one.model == model):
            kl, at = curves.seed_kl(one), int(np.argmin(curves.seed_kl(one).value))
            row |= {
                "final loss": words.number(curves.over_seeds(one, "surprisal").value[-1]),
                "KL at start": words.number(kl.value[0]),
                "KL minimum": words.number(kl.value[at]),
                "at step": str(kl.steps[at]),
                "final KL": words.number(kl.value[-1]),
                "max |logit|": words.number(one.max_logit[-1]),
            }
        mine = [one for one in found.llc if one.estimate.model == model]
        counts = words.verdicts(mine).most_common()
        row["LLC verdicts"] = ", ".join(f"{count} {name}" for name, count in counts) or "–"
        rows.append({"model": model, **row})
    return rows


def numbers(found: Findings) -> dict:
    """Every drawn curve, for whoever wants to draw it again; NaN becomes null."""
    per_seed = ("surprisal", "entropy", "kl_uniform", "kl_unigram")
    groups = {
        "seed_kl": [curves.seed_kl(one) for one in found.divergence],
        "masked_seed_kl": [curves.seed_kl(one) for one in found.masked],
        "next_byte_kl": [one.by_documents for one in found.per_byte],
        "surprisal_gap_bits": [one.gap_bits for one in found.per_byte],
        "kl_to_truth": [one.to_truth for one in found.truth],
        "kl_between_seeds": [one.between for one in found.truth],
        "masked_surprisal": [curves.over_seeds(one, "surprisal") for one in found.masked],
        **{name: [curves.over_seeds(one, name) for one in found.divergence] for name in per_seed},
        "in_context": list(found.in_context),
        "llc": [one.estimate for one in found.llc],
        "chain_loss": [one.chain_loss for one in found.llc],
        "trace": found.trace,
        "largest": found.largest,
        "smallest": found.smallest,
    }
    shown = {
        name: {curve.model: _plain(curve) for curve in drawn}
        for name, drawn in groups.items()
        if drawn
    }
    runs = {
        f"{one.model}, seed {one.seed}, {one.label}": _plain(one.curve)
        | {"boundaries": [vars(boundary) for boundary in one.found.boundaries]}
        for one in found.stages
        if one.found is not None
    }
    shown |= {
        f"seed_kl, {target}": {
            one.model: _plain(one.curves[target]) for one in found.expected if target in one.curves
        }
        for target in expected.TARGETS
        if any(target in one.curves for one in found.expected)
    }
    phases = {one.model: expected.plain(one.phases) for one in found.expected if one.phases}
    return shown | ({"stages": runs} if runs else {}) | ({"phases": phases} if phases else {})


def _plain(curve: curves.Curve) -> dict:
    def clean(values):
        return [float(v) if np.isfinite(v) else None for v in values]

    fields = {name: clean(getattr(curve, name)) for name in ("value", "low", "high")}
    return {"steps": curve.steps.tolist(), **fields, "errors": curve.rests_on}


def provenance(committed: Mapping[str, curves.Committed]) -> list[tuple[str, list[str]]]:
    """What the results say of their making: label -> every distinct value."""
    made, corpora, sources, hashes = [], [], set(), set()
    for _, data in (pair for units in committed.values() for pair in units):
        made.append(json.loads(data.attrs.get("made_by", "{}")))
        origin = json.loads(data.attrs.get("provenance", "{}"))
        corpora.append(origin.get("corpus") or {})
        for weight in origin.get("weights") or []:
            sources.add(_source(weight))
            hashes.update((weight.get("sha256") or {}).values())
    packages = {
        f"{name} {version}" for one in made for name, version in (one.get("packages") or {}).items()
    }
    text = {
        f"{one.get('name', '?')}, sha256 {one.get('sha256', '?')[:16]}…" for one in corpora if one
    }
    code = {
        f"dynamics {one.get('dynamics', '?')}, revision {one.get('revision') or 'unknown'}"
        for one in made
        if one
    }
    devices = {f"{one.get('device', '?')} ({one.get('backend', '?')})" for one in made if one}
    shown = sorted(value[:12] for value in hashes)
    listing = ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")
    units = [f"{measure}: {len(found)} units" for measure, found in committed.items() if found]
    return [
        ("Code", sorted(code)),
        ("Packages", [", ".join(sorted(packages))]),
        ("Python", sorted({one["python"] for one in made if "python" in one})),
        ("Device", sorted(devices)),
        ("Weights", sorted(sources) or ["none"]),
        ("Weight files", [f"{len(hashes)} distinct sha256" + (f": {listing}" if shown else "")]),
        ("Text", sorted(text)),
        ("Results", units),
    ]


def _source(weight: Mapping) -> str:
    """A hub id, or the last parts of a folder's path: a page that is shown tells no home folder."""
    source = str(weight.get("source", "?"))
    if not Path(source).is_absolute():
        return source
    parts = Path(source).parts
    return f"folder …/{parts[max(1, len(parts) - 4)]}"  # of FOLDER/MODEL/SEED/STEP


def configurations(committed: Mapping[str, curves.Committed]) -> list[tuple[str, str]]:
    """measure -> its configuration in one line."""
    lines = []
    for measure, units in committed.items():
        if units:
            config = json.loads(units[0][1].attrs.get("config", "{}"))
            lines.append(
                (measure, ", ".join(f"{name} = {value}" for name, value in config.items()))
            )
    return lines

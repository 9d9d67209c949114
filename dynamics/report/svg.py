"""A matplotlib figure as an inline SVG whose colours the page's theme decides."""

import io
import re

from dynamics.figures import style

FONT = "system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


def inline(figure, name: str, label: str, themed: dict[str, str]) -> str:
    """The figure as an <svg> element: ids unique to `name`, no address of any network in it.

    `label` is read out in place of the picture. `themed` maps drawn colours (lower-case hex) to CSS
    ones. Text stays text, in the page's own font.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "savefig.dpi": 130}):
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\s*xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", FONT, text)
    text = re.sub("|".join(map(re.escape, themed)), lambda found: themed[found[0]], text)
    box = re.findall(r'viewBox="[^"]*"', text)[0]
    return re.sub(
        r"<svg[^>]*>", f'<svg role="img" aria-label="{_escaped(label)}" {box}>', text, count=1
    )


def theme(num_models: int) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """What `inline` replaces, and the CSS variables (name, light, dark) that the page must
    define."""
    variables = [("grid", style.GRID, "#333b46"), ("quiet", style.QUIET, "#97a1ae")]
    pairs = zip(style.ramp(num_models), style.ramp(num_models, style.DARK_RAMP), strict=True)
    variables += [(f"model-{k}", light, dark) for k, (light, dark) in enumerate(pairs)]
    themed = {light: f"var(--{name})" for name, light, _ in variables}
    return {**themed, style.INK: "currentColor"}, variables


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")

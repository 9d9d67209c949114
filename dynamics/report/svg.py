"""A matplotlib figure as SVG: one form to stand in a page, one to be a file of its own.

Both come of one drawing, as a tree of XML, so that no text of the figure is ever taken for markup.
In a page the colours are CSS variables that its theme decides; styles are attributes, since a page
without inline styles can forbid them.
"""

import copy
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from dynamics.figures import style

FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
POINTS_PER_INCH = 72  # the user unit of matplotlib's SVG
RASTER_DPI = 170  # of what a figure has drawn as an image
_LONGEST_RAMP = 8  # colours; neighbours of a longer one differ too little to be told apart

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
# What XML 1.0 cannot hold, escaped or not (its production 2, Char).
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_DECIMALS = re.compile(r"-?\d+\.\d{3,}")


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A colour of the page, as a CSS variable.

    Attributes:
        name: without its dashes.
        light, dark: the colour in either scheme; a figure is drawn in `light`.
    """

    name: str
    light: str
    dark: str


def theme(num_models: int) -> list[Variable]:
    """The colours that a page with figures of so many models must define."""
    variables = [
        Variable(name="grid", light=style.GRID, dark="#333b46"),
        Variable(name="quiet", light=style.QUIET, dark="#97a1ae"),
        *_ramp("model", num_models),
    ]
    # Steps, sizes and bins have ramps of their own lengths; their ends are the same colours.
    for count in range(2, _LONGEST_RAMP + 1):
        taken = {variable.light for variable in variables}
        variables += [v for v in _ramp(f"ramp-{count}", count) if v.light not in taken]
    return variables


def _ramp(name: str, count: int) -> list[Variable]:
    pairs = zip(style.ramp(count), style.ramp(count, style.DARK_RAMP), strict=True)
    return [
        Variable(name=f"{name}-{k}", light=light, dark=dark)
        for k, (light, dark) in enumerate(pairs)
    ]


def css_colours(variables: list[Variable]) -> dict[str, str]:
    """A drawn colour, as lower-case hex -> what stands for it in a page."""
    return {v.light: f"var(--{v.name})" for v in variables} | {style.INK: "currentColor"}


def tree(figure) -> ET.Element:
    """The figure's SVG: names without namespaces, styles as attributes, no id that nothing uses."""
    text = _NO_XML.sub("\ufffd", _printed(figure))
    root = ET.fromstring(text.encode())
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        _unstyle(element)
        if f"{_XLINK}href" in element.attrib:
            element.set("xlink:href", element.attrib.pop(f"{_XLINK}href"))
    _drop_unused_ids(root)
    # matplotlib's style sheet says this of everything; a path that differs says so itself.
    root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
    return root


def inline(root: ET.Element, prefix: str, label: str, colours: Mapping[str, str]) -> str:
    """The tree as an <svg> element of a page.

    Args:
        root: what `tree` gave.
        prefix: makes the ids unique to the page.
        label: what is read out in place of the picture.
        colours: drawn colour -> CSS colour.
    """
    root = copy.deepcopy(root)
    for element in root.iter():
        for name, value in list(element.items()):
            if name == "id":
                element.set(name, f"{prefix}-{value}")
            elif name == "xlink:href" and value.startswith("#"):
                element.attrib.pop(name)
                element.set("href", f"#{prefix}-{value[1:]}")
            elif name == "xlink:href":
                element.attrib.pop(name)
                element.set("href", value)
            elif value.startswith("url(#"):
                element.set(name, f"url(#{prefix}-{value[5:]}")
            elif value in colours:
                element.set(name, colours[value])
    drawing = {
        name: root.get(name, "") for name in ("viewBox", "stroke-linejoin", "stroke-linecap")
    }
    root.attrib.clear()
    root.attrib |= {"role": "img", "aria-label": _NO_XML.sub("\ufffd", label), **drawing}
    return ET.tostring(root, encoding="unicode")


def standalone(root: ET.Element) -> str:
    """The tree as a file of its own, in the colours that it was drawn in."""
    names = {"xmlns": _SVG[1:-1], "xmlns:xlink": _XLINK[1:-1], "font-family": FONT}
    drawing, root = root, ET.Element(root.tag, root.attrib | names)
    root.extend(drawing)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode")


def _printed(figure) -> str:
    """What matplotlib writes. Text stays text; the same figure gives the same bytes."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    figure.set_dpi(RASTER_DPI)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dynamics"}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    figure.set_dpi(POINTS_PER_INCH)  # from here on its places are those of the SVG
    return buffer.getvalue()


def _unstyle(element: ET.Element):
    """Turns the style of an element into attributes, and shortens its numbers to .01 pt."""
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = declaration.partition(":")
        name, value = name.strip(), value.strip()
        if name == "font":  # "bold 9.5px 'DejaVu Sans', ..."
            before, size, _ = re.split(r"([\d.]+px)", value, maxsplit=1)
            element.set("font-size", size)
            element.attrib |= {"font-weight": "bold"} if "bold" in before else {}
        elif name and name != "font-family":
            element.set(name, value)
    for name in {"d", "x", "y", "transform"} & set(element.attrib):
        shorter = _DECIMALS.sub(lambda number: f"{float(number[0]):.2f}", element.attrib[name])
        element.set(name, " ".join(shorter.split()))


def _drop_unused_ids(root: ET.Element):
    values = [value for element in root.iter() for value in element.attrib.values()]
    used = {value[1:] for value in values if value.startswith("#")}
    used |= {value[5:-1] for value in values if value.startswith("url(#")}
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)

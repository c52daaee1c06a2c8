"""Figures and pictures as parts of a page: themed SVG text, and bytes as data addresses."""

import base64
import html
import io
import json
import re
from pathlib import Path

import markupsafe

from lorascope.errors import DamagedFileError, LorascopeError
from lorascope.report.style import GRID, INK, MUTED, SERIES

# Each colour of the figures is a variable of the page, so that it follows the light or dark theme.
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    **{series.colour: f"var(--series-{index})" for index, series in enumerate(SERIES)},
}
PICTURE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml"}


def themed_svg(svg: str, name: str, alt: str) -> str:
    """Turn a matplotlib SVG file into an element of a page that knows its colours.

    Args:
        svg: the text of the file.
        name: prefix of every id: two figures of one page must not share one.
        alt: what a screen reader says in its place.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", body)
    head = f'role="img" aria-label="{html.escape(alt)}"'
    body = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf"<svg \1 {head}>", body, count=1)
    body = body.replace("fill: #ffffff", "fill: none")
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, variable)
    return body


def script_json(value: object) -> markupsafe.Markup:
    """Write JSON that is safe inside a script element, whatever names it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return markupsafe.Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def svg_address(svg: str) -> str:
    """Return the text of an SVG file as a data: address."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def data_address(path: str | Path) -> str:
    """Return a picture as a data: address.

    Raises:
        DamagedFileError: the picture is a PNG whose checksums do not fit.
        LorascopeError: the picture is missing or of a type that browsers do not show.
    """
    path = Path(path)
    kind = PICTURE_TYPES.get(path.suffix.lower())
    if kind is None:
        raise LorascopeError(f"{path}: not a picture for the page; give one of {', '.join(PICTURE_TYPES)}")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise LorascopeError(f"{path}: no such picture") from None
    if kind == PICTURE_TYPES[".png"]:
        _check_png(path, content)
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _check_png(path: Path, content: bytes) -> None:
    """Compare the checksums that a PNG holds."""
    from PIL import Image

    try:
        Image.open(io.BytesIO(content)).verify()
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedFileError(path, f"not a readable picture ({error})") from None

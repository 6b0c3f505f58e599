"""Writes pages in the toolchain `report`: stdin is a list of {template, data, place}.

A page is one file: style and scripts stand in it, and its content security policy lets nothing be
loaded and nothing run but those scripts. All text goes through jinja2's autoescape.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipelines.files import quantity as of_bytes

ASSETS = Path(__file__).resolve().parents[1] / "assets"
_LIBRARIES = ("d3.min.js", "plot.umd.min.js", "dagre.min.js")
_SCRIPTS = {
    "report": (*(f"vendor/{name}" for name in _LIBRARIES), "table.js", "charts.js", "report.js"),
    "index": ("table.js",),
    "diff": ("table.js",),
    "upgrade": ("table.js",),
}


def main() -> None:
    environment = Environment(
        loader=FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        quantity=quantity, percent=percent, number=number, points=points, error=error, ticks=ticks
    )
    for order in json.load(sys.stdin):
        place = Path(order["place"])
        place.write_text(page(environment, order["template"], order["data"]), encoding="utf-8")


def page(environment: Environment, template: str, data: Any) -> str:
    scripts = [_script(name) for name in _SCRIPTS[template]]
    made: str = environment.get_template(f"{template}.html.j2").render(
        page=data,
        style=Markup((ASSETS / "style.css").read_text(encoding="utf-8")),
        licences=_licences(template),
        scripts=[Markup(text) for text in scripts],
        policy=" ".join(f"'{_digest(text)}'" for text in scripts),
    )
    return made


def _licences(template: str) -> str:
    """Of the libraries in the page, which their licences ask to stand there too."""
    if not any(name.startswith("vendor/") for name in _SCRIPTS[template]):
        return ""
    return (ASSETS / "vendor" / "LICENSES.txt").read_text(encoding="utf-8")


def _script(name: str) -> str:
    """A script of ours or a library's: none ends its element early."""
    text = (ASSETS / name).read_text(encoding="utf-8")
    if "</script" in text.lower():
        raise ValueError(f"{name} would end its own element")
    return f"\n{text}"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def quantity(size: int | None) -> str:
    return "–" if size is None else of_bytes.quantity(size)


def percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{share:.{digits}%}"


def points(drop: float | None) -> str:
    """A drop of accuracy as a change: -0.35, +0.10, 0.00 points."""
    return (
        "–" if drop is None else f"{-drop:+.2f}".replace("-0.00", "0.00").replace("+0.00", "0.00")
    )


def number(value: float | None, form: str = ",") -> str:
    return "–" if value is None else format(value, form)


def ticks(sentence: str) -> Markup:
    """What stands between backticks as code."""
    parts = sentence.split("`")
    if len(parts) % 2 == 0:  # one has no partner
        return escape(sentence)
    form = (Markup("{}"), Markup("<code>{}</code>"))
    return Markup("").join(form[i % 2].format(part) for i, part in enumerate(parts))


def error(cosine: float | None) -> str:
    return "–" if cosine is None else f"{cosine:.5f}"


if __name__ == "__main__":
    main()

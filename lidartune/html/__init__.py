"""Pages of one self-contained file: a style, tables that sort and filter, figures; nothing fetched, names escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from lidartune.figure_style import BLUE, GREY, INK, PAPER, RULE

NOTHING = ("n/a", "–")  # cells that hold no figure: greyed, and last when a column is sorted
TALL = 25  # rows from which on a table scrolls inside
LONG = 60  # characters from which on a cell's text is broken into lines
_THEME = {
    INK: "var(--ink)", PAPER: "var(--plate)", RULE: "var(--rule)", GREY.upper(): "var(--grey)", BLUE: "var(--blue)",
}  # fmt: skip


def page(title: str, parts: Iterable[str], *, style: str = "", script: str = "") -> str:
    """The whole page; `parts` are HTML, and empty ones are left out. The policy lets it fetch nothing.

    Args:
        style, script: what the page has beyond `style.css` and `tables.js`.
    """
    title = escape(title)
    head = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">",
        f"<title>{title}</title><style>{_asset('style.css')}{style}</style></head><body><h1>{title}</h1>",
    ]
    end = f"<script>{_asset('tables.js')}{script}</script></body></html>\n"
    return "\n".join(part for part in [*head, *parts, end] if part)


def _asset(name: str) -> str:
    return resources.files("lidartune.html").joinpath(name).read_text("utf-8")


def paragraphs(lines: Sequence[str], kind: str) -> str:
    """Lines of text in a block of class `kind`: soft, say or warn."""
    return f"<div class='{kind}'>" + "".join(f"<p>{escape(line)}</p>" for line in lines) + "</div>" if lines else ""


def data(name: str, value: Any) -> str:
    """A value for the page's scripts, in an element of that id; no name in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f"<script type='application/json' id='{escape(name)}'>{text}</script>"


def plain_class(text: str) -> str:
    """The class of a cell: `na` where it holds no figure."""
    return "na" if text in NOTHING else ""


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    cell_class: Callable[[str], str] = plain_class,
    name: str = "",
    first: Mapping[str, str] | None = None,
) -> str:
    """A table of text whose heads sort it; the first `left` columns hold names, by which it can be filtered.

    Args:
        name: what the table is called where it is not seen.
        first: the filters that are set when the page opens: head -> value. Without scripts all rows are shown.
    """

    def cell(index: int, text: str) -> str:
        kind = "name" if index < left else cell_class(text)
        return f"<td class='{kind} long'>{escape(text)}</td>" if len(text) > LONG else _td(kind, text)

    body = ["<tr>" + "".join(cell(i, t) for i, t in enumerate(row)) + "</tr>" for row in rows]
    head = "".join(f"<th scope='col'{_class('name' if i < left else '')}>{escape(t)}</th>" for i, t in enumerate(heads))
    kind = "wide tall" if len(body) > TALL else "wide"
    label = f" role='region' aria-label='{escape(name)}'" if name else ""
    shown = f" data-first='{escape(json.dumps(dict(first)))}'" if first else ""
    return (
        f"<div class='{kind}' tabindex='0'{label}><table{shown}><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _td(kind: str, text: str) -> str:
    return f"<td{_class(kind)}>{escape(text)}</td>"


def _class(kind: str) -> str:
    return f" class='{kind}'" if kind else ""


def figure(svg: str, title: str = "", caption: str = "") -> str:
    """An SVG, in the page itself and in the page's own colours; `title` is what it is called where it is not seen."""
    drawing = re.sub(r"^.*?(?=<svg)", "", svg, flags=re.DOTALL)
    drawing = re.sub(r"\s*<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    # Its own style sheet would reach the whole page, and ids that nothing refers to would be there many times.
    drawing = drawing.replace('<style type="text/css">*{', '<style type="text/css">figure svg *{')
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', drawing))
    drawing = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", drawing)
    drawing = re.sub("|".join(_THEME), lambda found: _THEME[found[0].upper()], drawing, flags=re.IGNORECASE)
    drawing = re.sub(r"font-family: [^;\"]*;? ?", "", drawing)
    label = f" role='img' aria-label='{escape(title)}'" if title else ""
    said = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure class='wide' tabindex='0'>{drawing.replace('<svg', f'<svg{label}', 1)}{said}</figure>"


def svg_file(path: Path, title: str = "", caption: str = "") -> str:
    """The same from a file."""
    return figure(path.read_text(encoding="utf-8"), title, caption)

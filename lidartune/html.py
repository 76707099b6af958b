"""Pages of one self-contained file: a style, tables that sort, figures inside; nothing fetched, every name escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

_STYLE = """
:root{--ink:#1b1f24;--soft:#5d6671;--line:#dde1e6;--band:#f6f7f9;--accent:#0072b2}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:#fff;max-width:1180px;margin:0 auto;
padding:24px 20px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:38px 0 8px}
.soft,figcaption,caption{color:var(--soft);font-size:13px}.soft p{margin:2px 0}
.say{border-left:3px solid var(--accent);padding:2px 0 2px 14px;margin:18px 0}.say p{margin:7px 0}
.warn{border-left:3px solid #e69f00;padding:2px 0 2px 14px;margin:14px 0}.warn p{margin:4px 0}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{vertical-align:bottom;white-space:normal;max-width:7em;cursor:pointer;border-bottom:1px solid var(--ink)}
th[aria-sort]{color:var(--accent)}
th.name,td.name{text-align:left}td.na{color:#9aa2ab}tbody tr:hover{background:var(--band)}
td.bad{color:#9c3d00;font-weight:600}figure{margin:10px 0}figure svg{max-width:100%;height:auto}
img{max-width:100%}summary{cursor:pointer;margin:6px 0}
pre{white-space:pre-wrap;font-size:12px;background:var(--band);padding:8px}
"""
_SCRIPT = """
document.querySelectorAll('th').forEach(function(th){th.tabIndex=0;function sort(){
var t=th.closest('table'),b=t.tBodies[0],i=th.cellIndex,up=th.getAttribute('aria-sort')!=='ascending';
t.querySelectorAll('th').forEach(function(o){o.removeAttribute('aria-sort')});
th.setAttribute('aria-sort',up?'ascending':'descending');
function num(s){return parseFloat(s.replace(/,(?=\\d\\d\\d)/g,''))}
function val(r){return r.cells[i].textContent.trim()}
Array.from(b.rows).sort(function(x,y){var a=val(x),c=val(y);
function no(s){return s==='n/a'||s==='–'}if(no(a)!==no(c))return no(a)?1:-1;
var m=num(a),n=num(c),d=isNaN(m)||isNaN(n)?a.localeCompare(c):m-n;return up?d:-d
}).forEach(function(r){b.appendChild(r)})}
th.addEventListener('click',sort);
th.addEventListener('keydown',function(e){if(e.key==='Enter')sort()})})
"""
NOTHING = ("n/a", "–")  # cells that hold no figure: greyed, and last when a column is sorted


def page(title: str, parts: Iterable[str]) -> str:
    """The whole page; `parts` are HTML, and empty ones are left out. The policy lets it fetch nothing."""
    title = escape(title)
    head = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">",
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>",
    ]
    return "\n".join(part for part in [*head, *parts, f"<script>{_SCRIPT}</script></body></html>\n"] if part)


def paragraphs(lines: Sequence[str], kind: str) -> str:
    """Lines of text in a block of class `kind`: soft, say or warn."""
    return f"<div class='{kind}'>" + "".join(f"<p>{escape(line)}</p>" for line in lines) + "</div>" if lines else ""


def plain_class(text: str) -> str:
    """The class of a cell: `na` where it holds no figure."""
    return "na" if text in NOTHING else ""


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    cell_class: Callable[[str], str] = plain_class,
) -> str:
    """A table of text that sorts by the head that is clicked; the first `left` columns hold names."""

    def cell(index: int, text: str) -> str:
        return f"<td class='{'name' if index < left else cell_class(text)}'>{escape(text)}</td>"

    head = "".join(f"<th class='{'name' if i < left else ''}'>{escape(text)}</th>" for i, text in enumerate(heads))
    body = "".join("<tr>" + "".join(cell(i, t) for i, t in enumerate(row)) + "</tr>" for row in rows)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def figure(svg: str) -> str:
    """An SVG, in the page itself."""
    return f"<figure class='wide'>{re.sub(r'^.*?(?=<svg)', '', svg, flags=re.DOTALL)}</figure>"


def svg_file(path: Path) -> str:
    """The same from a file."""
    return figure(path.read_text(encoding="utf-8"))

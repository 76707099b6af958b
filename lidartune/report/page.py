"""report/index.html: one self-contained file, nothing fetched from anywhere, every name escaped."""

from __future__ import annotations

import base64
import re
from html import escape
from pathlib import Path

import pandas as pd

from lidartune.report.committed import committed_file
from lidartune.report.exports import one_line
from lidartune.report.headline import headline
from lidartune.report.results import CellResult, StudyResults
from lidartune.report.texts import NA, NOT_HERE, TextTable, absent_lines, caption, gap_text, matrix_text, percent

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
img{width:100%;image-rendering:pixelated;border:1px solid var(--line)}summary{cursor:pointer;margin:6px 0}
pre{white-space:pre-wrap;font-size:12px;background:var(--band);padding:8px}
"""
_SCRIPT = """
document.querySelectorAll('th').forEach(function(th){th.tabIndex=0;function sort(){
var t=th.closest('table'),b=t.tBodies[0],i=th.cellIndex,up=th.getAttribute('aria-sort')!=='ascending';
t.querySelectorAll('th').forEach(function(o){o.removeAttribute('aria-sort')});
th.setAttribute('aria-sort',up?'ascending':'descending');
function val(r){return r.cells[i].textContent.trim()}
Array.from(b.rows).sort(function(x,y){var a=val(x),c=val(y);
function no(s){return s==='n/a'||s==='–'}if(no(a)!==no(c))return no(a)?1:-1;
var m=parseFloat(a),n=parseFloat(c),d=isNaN(m)||isNaN(n)?a.localeCompare(c):m-n;return up?d:-d
}).forEach(function(r){b.appendChild(r)})}
th.addEventListener('click',sort);
th.addEventListener('keydown',function(e){if(e.key==='Enter')sort()})})
"""


def write_page(results: StudyResults, per_class: pd.DataFrame, figures: dict[str, Path], path: Path) -> None:
    """Writes the page.

    Args:
        per_class: the frame of tables.per_class_table.
        figures: title -> SVG file, put in as it is (figures.py escapes what it draws).
    """
    title = escape(f"Transfer study {results.name}")
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">",
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>",
        _paragraphs(caption(results), "soft"),
        _paragraphs(headline(results), "say"),
        _paragraphs(absent_lines(results), "warn"),
    ]
    parts += [_table(table) for table in (gap_text(results), matrix_text(results))]
    for name, file in figures.items():
        parts.append(f"<h2>{escape(name)}</h2><figure class='wide'>{_inline_svg(file)}</figure>")
    parts += [_pictures(results), _per_class(results, per_class), _excluded(results), _failures(results)]
    parts.append(f"<script>{_SCRIPT}</script></body></html>\n")
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8", newline="\n")


def _paragraphs(lines: list[str], kind: str) -> str:
    return f"<div class='{kind}'>" + "".join(f"<p>{escape(line)}</p>" for line in lines) + "</div>" if lines else ""


def _table(table: TextTable) -> str:
    def cell(index: int, text: str) -> str:
        kind = "name" if index < table.left else "na" if text in (NA, NOT_HERE) else ""
        return f"<td class='{kind}'>{escape(text)}</td>"

    heads = "".join(
        f"<th class='{'name' if i < table.left else ''}'>{escape(one_line(head))}</th>"
        for i, head in enumerate(table.heads)
    )
    rows = "".join("<tr>" + "".join(cell(i, t) for i, t in enumerate(row)) + "</tr>" for row in table.rows)
    return (
        f"<h2>{escape(table.title)}</h2><div class='wide'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
        f"</table></div>{_paragraphs(table.notes, 'soft')}"
    )


def _inline_svg(file: Path) -> str:
    return re.sub(r"^.*?(?=<svg)", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)


def _pictures(results: StudyResults) -> str:
    """The fixed test scan before and after fine-tuning, of the first cell that has it."""
    for cell in sorted(results.cells, key=lambda c: (c.status != "done", c.pretrain_epochs == 0)):
        found = [
            (role, domain, png)
            for role, domain in (
                ("start", "real"),
                ("finetuned", "real"),
                ("scratch", "real"),
                ("finetuned", "synthetic"),
            )
            if (png := _picture(results, cell, role, domain)) is not None
        ]
        if found:
            setting = (
                f"{cell.backbone}, width {cell.width}, {cell.pretrain_epochs} pretraining epochs, seed {cell.seed}"
            )
            figures = "".join(
                f"<figure><img alt='{escape(caption_)}' src='data:image/png;base64,{base64.b64encode(png).decode()}'>"
                f"<figcaption>{escape(caption_)}</figcaption></figure>"
                for role, domain, png in found
                if (caption_ := f"{role.replace('_', ' ')}, a {domain} test scan: range, prediction, truth")
            )
            return f"<h2>One scan</h2><p class='soft'>{escape(setting)}</p>{figures}"
    return ""


def _picture(results: StudyResults, cell: CellResult, role: str, domain: str) -> bytes | None:
    place = cell.roles.get(role)
    if place is None or place.score is None:
        return None
    return committed_file(results.runs_root / place.run, place.epoch, "test", f"picture-{domain}.png")[0]


def _per_class(results: StudyResults, frame: pd.DataFrame) -> str:
    heads = ("class", "S→R", "fine-tuned", "scratch", "gain, equal fine-tuning", "95 % interval", "negative transfer")
    parts: list[str] = []
    keys = ["backbone", "width", "pretrain_epochs", "freeze", "labelled_scans"]
    for key, rows in frame.groupby(keys, sort=False) if len(frame) else []:
        if key[2] == 0:
            continue
        body = []
        for row in rows.to_dict("records"):
            if row["in_real_test"] != "yes":
                continue
            gain, low, high = (row[f"gain_equal_finetuning{end}"] for end in ("", "_low", "_high"))
            bad = row["negative_transfer_equal_finetuning"]
            figures = [percent(row[name]) for name in ("synthetic_to_real", "finetuned", "scratch")]
            figures += [NA if pd.isna(gain) else f"{100 * gain:+.1f}"]
            figures += [NA if pd.isna(low) else f"{100 * low:+.1f} to {100 * high:+.1f}", bad or NA]
            cells = "".join(
                f"<td class='{'na' if t == NA else 'bad' if t == 'yes' else ''}'>{escape(t)}</td>" for t in figures
            )
            body.append(f"<tr><td class='name'>{escape(str(row['name']))}</td>{cells}</tr>")
        label = escape(f"{key[0]}, width {key[1]}, {key[2]} pretraining epochs, freeze {key[3]}, {key[4]} real scans")
        head = "".join(f"<th class='{'' if i else 'name'}'>{h}</th>" for i, h in enumerate(heads))
        parts.append(
            f"<details{'' if parts else ' open'}><summary>{label}</summary><div class='wide'><table><thead><tr>{head}"
            f"</tr></thead><tbody>{''.join(body)}</tbody></table></div></details>"
        )
    if not parts:
        return ""
    absent = [n for i, n in enumerate(results.classes) if i and not results.class_sets["real"][i]]
    note = f"Not in the real test split, so n/a: {', '.join(absent)}. " if absent else ""
    note += "With many classes and settings, about one flag in forty comes by chance."
    return "<h2>Per class</h2>" + _paragraphs([note], "soft") + "".join(parts)


def _excluded(results: StudyResults) -> str:
    if not results.excluded:
        return ""
    items = "".join(
        f"<li>{escape(', '.join(f'{k} {v}' for k, v in dict(e.get('cell') or {}).items() if k != 'roles'))}: "
        f"{escape(str(e.get('reason', '')))}</li>"
        for e in results.excluded
    )
    return f"<h2>Left out of the plan</h2><ul class='soft'>{items}</ul>"


def _failures(results: StudyResults) -> str:
    if not results.failures:
        return ""
    items = "".join(
        f"<details><summary>{escape(run)}: {escape(str(f.get('kind', 'failed')))}</summary>"
        f"<pre>{escape(str(f.get('message', '')))}\n{escape(str(f.get('log') or ''))}</pre></details>"
        for run, f in sorted(results.failures.items())
    )
    return f"<h2>Failures</h2>{items}"

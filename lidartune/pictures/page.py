"""A scan as a page in which a person can turn the cloud: one file that fetches nothing, with every name escaped."""

from __future__ import annotations

import base64
import json
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from lidartune.pictures.bands import OUTCOME_COLORS, OUTCOMES, outcome_swatches, share
from lidartune.pictures.labelled import LabelledScan
from lidartune.pictures.scales import Scale, height_scale, range_scale, remission_scale

SCRIPTS = ("cloud.js", "camera.js", "drawing.js", "panel.js", "main.js")
FAR_M = 2000.0
"""Points beyond are left out: places are stored in steps of a 32767th of the largest coordinate."""
_KEYS = (
    ("drag, arrows", "turn"),
    ("wheel, pinch, + -", "zoom"),
    ("right or Shift + drag", "move"),
    ("Shift + arrows", "move"),
    ("1 to 6", "colour by"),
    ("R", "first view again"),
    ("D", "dark or light"),
)


def cloud_page(scan: LabelledScan) -> str:
    """The page of a scan, as HTML.

    Left out are points with a NaN or infinity, at the origin, or farther than FAR_M; the page says how many.
    """
    xyz = scan.points[:, :3].astype(np.float64)
    with np.errstate(invalid="ignore"):
        range_m = np.sqrt((xyz**2).sum(axis=1))
    kept = np.isfinite(scan.points).all(axis=1) & (range_m > 0) & (range_m < FAR_M)
    xyz, range_m = xyz[kept], range_m[kept]
    step = max(float(np.abs(xyz).max(initial=0.0)), 1.0) / 32767
    colorings, planes = _colorings(scan, kept, xyz, range_m)
    places = np.round(xyz / step).astype("<i2")
    content = {
        "title": scan.title,
        "points": int(kept.sum()),
        "step": step,
        "distance": round(2.2 * float(np.quantile(range_m, 0.8)) if range_m.size else 50.0, 3),
        "colorings": colorings,
    }
    lines = [f"{len(scan.points):,} points"]
    if not kept.all():
        lines.append(f"{int((~kept).sum()):,} left out: no number, at the sensor or farther than {FAR_M:,.0f} m")
    lines += [line for line in (scan.score_line(),) if line]
    return _html(scan.title, lines, content, places.tobytes() + b"".join(plane.tobytes() for plane in planes))


def _colorings(
    scan: LabelledScan, kept: np.ndarray, xyz: np.ndarray, range_m: np.ndarray
) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """What the page can colour by, in the order of its keys 1 to 6, and the codes (N,) uint8 of those it has."""
    remission = scan.points[kept, 3]
    found = [
        _by_class("truth", "class", scan.truth, scan, kept),
        _by_class("prediction", "prediction", scan.prediction, scan, kept),
        _by_outcome(scan, kept),
        _by_scale("remission", remission, remission_scale(remission)),
        _by_scale("range", range_m, range_scale(range_m)),
        _by_scale("height", xyz[:, 2], height_scale(xyz[:, 2])),
    ]
    return [coloring for coloring, _ in found], [plane for _, plane in found if plane is not None]


def _by_class(
    key: str, label: str, classes: np.ndarray | None, scan: LabelledScan, kept: np.ndarray
) -> tuple[dict[str, Any], np.ndarray | None]:
    if classes is None or scan.taxonomy is None:
        absent = "no labels given" if key == "truth" else "no prediction given"
        return {"key": key, "label": label, "absent": absent}, None
    codes = classes[kept]
    counts = np.bincount(codes, minlength=scan.taxonomy.num_classes)
    iou = np.full(len(counts), np.nan) if scan.confusion is None or key == "truth" else scan.confusion.iou()
    order = [c for c in [*range(1, len(counts)), 0] if counts[c]]
    table = scan.taxonomy.colors.tolist()
    entries = []
    for c in order:
        details = [share(int(counts[c]), len(codes))]
        details += [] if np.isnan(iou[c]) else [f"IoU {100 * iou[c]:.1f} %"]
        entries.append({"code": c, "name": scan.taxonomy.names[c], "details": details})
    return {"key": key, "label": label, "table": table, "entries": entries}, codes


def _by_outcome(scan: LabelledScan, kept: np.ndarray) -> tuple[dict[str, Any], np.ndarray | None]:
    if scan.outcomes is None:
        return {"key": "error", "label": "error", "absent": "needs labels and a prediction"}, None
    codes = scan.outcomes[kept]
    entries = [
        {
            "code": OUTCOMES.index(swatch.text),
            "name": swatch.text,
            "details": [swatch.detail + (" of labelled" if swatch.text != "ignored" else "")],
        }
        for swatch in outcome_swatches(codes)
    ]
    return {"key": "error", "label": "error", "table": OUTCOME_COLORS.tolist(), "entries": entries}, codes


def _by_scale(key: str, values: np.ndarray, scale: Scale) -> tuple[dict[str, Any], np.ndarray]:
    ticks = [[round(float(scale.position(t)), 4), f"{t:.10g}"] for t in scale.ticks]
    label = f"{key} ({scale.unit})" if scale.unit else key
    return {"key": key, "label": label, "table": scale.table.tolist(), "ticks": ticks}, scale.levels(values)


def _html(title: str, lines: list[str], content: dict[str, Any], data: bytes) -> str:
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    scripts = "".join(_file(name) for name in SCRIPTS)
    keys = "".join(f"<dt>{escape(key)}</dt><dd>{escape(does)}</dd>" for key, does in _KEYS)
    paragraphs = "".join(f"<p class='soft'>{escape(line)}</p>" for line in lines)
    return f"""<!doctype html><html lang='en'><head><meta charset='utf-8'>
<meta name='viewport' content='width=device-width,initial-scale=1'>
<meta http-equiv='Content-Security-Policy' content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'; img-src data:">
<title>{escape(title)}</title><style>
{_file("style.css")}</style></head><body>
<main id='stage'></main>
<aside id='panel'><h1>{escape(title)}</h1>{paragraphs}
<noscript><p class='say'>This page draws with JavaScript, which is switched off here.</p></noscript>
<p class='say' id='say' role='status' hidden></p>
<h2 id='by'>Colour by</h2><div id='colorings' role='radiogroup' aria-labelledby='by'></div>
<h2>Legend</h2><div id='legend'></div>
<p class='soft' id='shown' role='status'></p><p class='soft' id='elsewhere'></p>
<h2><label for='size'>Point size</label></h2>
<input id='size' type='range' min='1' max='8' step='0.5' value='2'>
<div class='row'><button type='button' id='reset'>first view</button><button type='button' id='everything'>show \
all</button><button type='button' id='theme'>dark / light</button></div>
<h2>Mouse, touch and keys</h2><dl>{keys}</dl></aside>
<script type='application/json' id='scan'>{text}</script>
<script type='text/plain' id='bytes'>{base64.b64encode(data).decode()}</script>
<script>"use strict";
{scripts}</script></body></html>
"""


def _file(name: str) -> str:
    return resources.files("lidartune.pictures").joinpath("viewer", name).read_text("utf-8")

"""The picture as a whole: nothing blended, nothing overlapping, the same bytes each time, only classes that occur."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from lidartune.canvas import Sensor, project
from lidartune.pictures.bands import Band, Swatch, class_band, error_band, on_canvas, range_band, remission_band
from lidartune.pictures.labelled import LabelledScan
from lidartune.pictures.scan import REPORT_WIDTH_PX, SHOW_WIDTH_PX, draw_labelled_scan, draw_prediction
from lidartune.pictures.sheet import FRAME, Section, Sheet, draw_sheet, lay_out
from lidartune.scans import CLASS_COLORS, CLASS_NAMES

from .conftest import SENSOR

LEGEND = tuple(Swatch(color=tuple(c), text=n) for c, n in zip(CLASS_COLORS.tolist(), CLASS_NAMES, strict=True))
DETAIL = "truth 12.3 %   predicted 45.6 %   IoU 78.9 %"
DETAILED = tuple(Swatch(color=s.color, text=s.text, detail=DETAIL) for s in LEGEND)


def bands_of(scan: LabelledScan, sensor: Sensor) -> list[Band]:
    canvas = project(scan.points, sensor)
    assert scan.truth is not None and scan.prediction is not None
    truth, prediction = on_canvas(scan.truth, canvas), on_canvas(scan.prediction, canvas)
    return [
        range_band(canvas),
        remission_band(canvas),
        class_band("classes", truth, canvas.mask, CLASS_COLORS),
        error_band(prediction, truth, canvas.mask),
    ]


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def rectangles(sheet: Sheet) -> list[tuple[str, tuple[float, ...]]]:
    """Everything that is drawn and must not be covered: left, top, right, bottom."""
    found: list[tuple[str, tuple[float, ...]]] = []
    for line in sheet.lines:
        left, top, right, bottom = line.font.getbbox(line.text)
        found.append((line.text, (line.x + left, line.y + top, line.x + right, line.y + bottom)))
    for x, y, image in sheet.images:
        found.append(("image", (x, y, x + image.width, y + image.height)))
    return found + [("swatch", box) for box, color in sheet.boxes if color != FRAME]


def overlapping(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


@pytest.mark.parametrize("width", [32, 300, 512, 551, 1800, 2048, 4096])
@pytest.mark.parametrize("width_px", [REPORT_WIDTH_PX, SHOW_WIDTH_PX])
@pytest.mark.parametrize("legend", [LEGEND, DETAILED], ids=["names", "details"])
def test_nothing_overlaps_and_nothing_is_cut_off(
    scan: LabelledScan, width: int, width_px: int, legend: tuple[Swatch, ...]
) -> None:
    section = Section(
        bands=bands_of(scan, Sensor(16, width, 3.0, -25.0)),
        title="sequence 08, scan 000002, predicted by squeezesegv2-w512-real-2f3a4b5c6d7e, epoch 25",
        note="124,478 points, 79.8 % of them shown on 64 x 2048 pixels (75.8 % filled)   accuracy 85.1 %",
    )
    sheet = lay_out([section, section], legend, width_px=width_px)
    right, bottom = sheet.size
    drawn = rectangles(sheet)
    for text, box in drawn:
        assert box[0] >= 0 and box[1] >= 0 and box[2] <= right and box[3] <= bottom, text
    for (text, box), (other_text, other) in combinations(drawn, 2):
        assert not overlapping(box, other), (text, other_text)
    for name in CLASS_NAMES:
        assert name in [line.text for line in sheet.lines]


def test_a_title_that_is_too_long_is_cut_off_visibly(scan: LabelledScan) -> None:
    section = Section(bands=bands_of(scan, SENSOR), title="a" * 500, note="b" * 500)
    lines = lay_out([section], (), width_px=600).lines
    assert lines[0].text.endswith("...") and lines[1].text.endswith("...") and lines[1].y > lines[0].y


@pytest.mark.parametrize(("height", "width", "factor", "rows"), [(16, 256, 8, 8), (64, 2048, 1, 2), (32, 700, 2, 4)])
def test_bands_are_enlarged_by_whole_factors_and_nothing_is_blended(
    scan: LabelledScan, height: int, width: int, factor: int, rows: int
) -> None:
    bands = bands_of(scan, Sensor(height, width, 3.0, -25.0))
    sheet = lay_out([Section(bands=bands)], LEGEND, width_px=SHOW_WIDTH_PX)
    picture = pixels_of(sheet.png())
    assert 1400 <= picture.shape[1] <= 2112
    wide = [place for place in sheet.images if place[2].width == width * factor]
    for band, (x, y, _) in zip(bands, wide, strict=True):
        enlarged = band.pixels.repeat(factor, axis=1).repeat(rows, axis=0)
        assert np.array_equal(picture[y : y + height * rows, x : x + width * factor], enlarged), band.title


def test_a_wide_canvas_keeps_all_columns_and_its_text_grows_with_it_twice_at_most(scan: LabelledScan) -> None:
    sheets = {
        width: lay_out([Section(bands=bands_of(scan, Sensor(16, width, 3.0, -25.0)))], LEGEND, width_px=1000)
        for width in (1000, 1500, 4000, 16000)
    }
    assert [sheet.inner for sheet in sheets.values()] == [1000, 1500, 4000, 16000]
    assert [sheet.lines[0].font.size / 15 for sheet in sheets.values()] == [1, 1.5, 2, 2]
    assert sheets[16000].size[1] <= sheets[4000].size[1], "four times the columns are not sixteen times the pixels"


def test_the_same_scan_gives_the_same_bytes(scan: LabelledScan) -> None:
    canvas = project(scan.points, SENSOR)
    first, second = (draw_labelled_scan(scan, canvas, "some facts") for _ in range(2))
    assert first == second
    assert Image.open(io.BytesIO(first)).mode == "P", "few colours need one byte a pixel"


def test_more_than_256_colours_stay_exact() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (16, 600, 3), dtype=np.uint8)
    sheet = lay_out([Section(bands=[Band(title="noise", pixels=noise)])], (), width_px=600)
    x, y, image = sheet.images[0]
    shown = pixels_of(sheet.png())[y : y + image.height, x : x + 600]
    assert np.array_equal(shown, noise.repeat(image.height // 16, axis=0))


def test_the_legend_of_a_scan_names_only_what_occurs(scan: LabelledScan) -> None:
    assert scan.truth is not None and scan.prediction is not None and scan.taxonomy is not None
    occurring = {CLASS_NAMES[c] for c in np.union1d(scan.truth, scan.prediction)}
    assert {s.text for s in scan.class_swatches()} == occurring != set(CLASS_NAMES)
    assert scan.class_swatches()[-1].text == "ignored"


def test_the_picture_for_reports_is_small_and_shows_truth_prediction_and_errors(scan: LabelledScan) -> None:
    canvas = project(scan.points, SENSOR)
    assert scan.truth is not None and scan.prediction is not None
    png = draw_prediction(canvas, on_canvas(scan.prediction, canvas), on_canvas(scan.truth, canvas))
    assert len(png) < 40_000
    shown = int((pixels_of(png) == (209, 73, 26)).all(-1).sum())
    wrong = int(((scan.prediction != scan.truth) & (scan.truth > 0))[canvas.index[canvas.mask]].sum())
    per_pixel = 4 * 8  # 256 columns become 1024, 16 rows 128
    swatch = 15 * 15
    assert abs(shown - wrong * per_pixel) < 2 * swatch


def test_a_sheet_without_legend_or_title(scan: LabelledScan) -> None:
    assert pixels_of(draw_sheet([Section(bands=bands_of(scan, SENSOR))], (), width_px=600)).shape[0] > 4 * 128

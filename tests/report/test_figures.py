from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from lidartune.report import figures, load_study
from lidartune.report.figures import classes, confusion, curves, epochs, gains, heatmap, labels, pictures, search
from lidartune.report.results import StudyResults
from lidartune.report.tables import all_tables

from ..pictures.color_vision import VISIONS, difference, lightness
from .made_up_study import default_accuracy, make_study

Frames = dict[str, pd.DataFrame]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyResults, Frames]:
    """Two values of every axis; `wide` gains at width 512 and loses at 1024, class 3 loses everywhere."""

    def accuracy(cell: dict[str, Any], role: str, domain: str) -> Any:
        share = np.broadcast_to(default_accuracy(cell, role, domain), 19).copy()
        if role == "finetuned" and domain == "real":
            share += {("wide", 512): 0.1, ("wide", 1024): -0.2}.get((cell["backbone"], cell["width"]), 0.0)
            share[2] = 0.05
        return share

    folder = make_study(
        tmp_path_factory.mktemp("results"), accuracy=accuracy, backbones=("narrow", "wide"), widths=(512, 1024),
        pretrain_epochs=(3, 10), labelled=(4, 16),
    )  # fmt: skip
    results = load_study(folder)
    return results, all_tables(results)


def draw_figures(results: StudyResults, frames: Frames, folder: Path) -> dict[str, figures.Drawn]:
    return {figure.name: figure for figure in map(figures.draw, figures.to_draw(results, frames, folder))}


@pytest.fixture(scope="module")
def drawn(study: tuple[StudyResults, Frames], tmp_path_factory: pytest.TempPathFactory) -> dict[str, figures.Drawn]:
    return draw_figures(*study, tmp_path_factory.mktemp("figures"))


def rows_of(kind: Any, study: tuple[StudyResults, Frames]) -> pd.DataFrame:
    rows = kind.rows(*study)
    assert not isinstance(rows, str), rows
    return rows


def texts(svg: Path) -> list[str]:
    return [element.text or "" for element in ET.parse(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_every_figure_is_there_as_svg_and_png_or_says_why_not(drawn: dict[str, figures.Drawn]) -> None:
    absent = {name: figure.note for name, figure in drawn.items() if figure.svg is None}
    assert absent == {
        "ladder": "the study has no ladder: `ladder: all` in its YAML adds one",
        "search": "the study is no search",
    }
    for figure in drawn.values():
        if figure.svg is not None:
            assert ET.parse(figure.svg).getroot().tag.endswith("svg") and figure.note.endswith(".")
            assert figure.svg.with_suffix(".png").read_bytes().startswith(PNG)


def test_figures_are_the_same_bytes_twice_and_hold_no_date(finished: Path, tmp_path: Path) -> None:
    results = load_study(finished)
    frames = all_tables(results)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        for folder in ("a", "b")
        if draw_figures(results, frames, tmp_path / folder)
    )
    assert first == second and len(first) >= 10
    assert not any(b"<dc:date>" in content for content in first.values())


def only(names: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws these figures alone: the others take time."""
    monkeypatch.setattr(figures, "FIGURES", [kind for kind in figures.FIGURES if kind.name in names])


def test_a_figure_that_has_no_data_any_more_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only({"ladder"}, monkeypatch)
    (tmp_path / "ladder.svg").write_text("of an earlier study")
    (tmp_path / "mine.svg").write_text("somebody else's")
    results = load_study(make_study(tmp_path, seeds=(0,)))
    draw_figures(results, all_tables(results), tmp_path)
    assert not (tmp_path / "ladder.svg").exists() and (tmp_path / "mine.svg").exists()


@pytest.mark.parametrize("seeds", [(), (0,)])
def test_nothing_or_one_seed_can_be_drawn(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    results = load_study(make_study(tmp_path, seeds=seeds))
    found = draw_figures(results, all_tables(results), tmp_path / "figures")
    there = {name for name, figure in found.items() if figure.svg is not None}
    assert there == ({"curves", "gain", "classes", "confusion"} if seeds else set())
    assert found["epochs"].note == "one number of pretraining epochs only"
    assert found["labels"].note == "one number of labelled scans only"
    assert found["heatmap"].note == "one backbone at one width only"


def test_names_are_drawn_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only({"curves"}, monkeypatch)
    results = load_study(make_study(tmp_path, seeds=(0,), backbones=("$x_1$<script>&_",)))
    found = draw_figures(results, all_tables(results), tmp_path)
    assert found["curves"].svg is not None and "<script>" not in found["curves"].svg.read_text()
    assert "$x_1$<script>&_, width 512, 8 real scans" in texts(found["curves"].svg)


# -- curves -----------------------------------------------------------------------------------------------------------


def test_curves_go_on_where_pretraining_ended(finished: Path) -> None:
    data = figures.curve_data(load_study(finished))
    tuned = data[(data["curve"] == "fine-tuning on real, scored on real") & (data["width"] == 512)]
    assert sorted(set(tuned["updates"])) == [32 * e for e in (3, 4, 5, 6, 7)]
    assert tuned["epoch"].min() == 0 and tuned["seed"].nunique() == 3
    scratch = data[data["curve"] == "from scratch on real, scored on real"]
    assert scratch["updates"].min() == 0 and scratch["updates"].max() == 7 * 32
    # Cells share runs: no point of a curve appears twice.
    assert not data.duplicated(["curve", "backbone", "width", "labelled_scans", "seed", "updates"]).any()


def test_zero_shot_curve_is_the_pretraining_run_on_the_other_domain(finished: Path) -> None:
    data = figures.curve_data(load_study(finished)).set_index(["width", "seed", "epoch"]).sort_index()
    on = {d: data[data["curve"] == f"pretraining on synthetic, scored on {d}"]["miou"] for d in ("synthetic", "real")}
    assert (on["synthetic"].xs(3, level="epoch") > on["real"].xs(3, level="epoch") + 0.2).all()


def test_of_many_panels_the_best_and_the_worst_are_drawn(study: tuple[StudyResults, Frames]) -> None:
    rows = rows_of(curves, study)
    shown = set(rows[["backbone", "labelled_scans", "width"]].itertuples(index=False, name=None))
    assert len(shown) == curves.MOST_PANELS == 4 and int(rows["panels"].iloc[0]) == 8
    assert {(b, w) for b, _, w in shown} >= {("wide", 512), ("wide", 1024)}
    assert "4 of 8 settings are drawn" in curves.draw(rows)[1]


# -- gains ------------------------------------------------------------------------------------------------------------


def test_gains_are_those_of_the_gap_table(study: tuple[StudyResults, Frames]) -> None:
    gap = study[1]["gap"]
    data = rows_of(gains, study)
    wanted = gap[gap["pretrain_epochs"] > 0]
    for name in ("gain_equal_finetuning", "gain_equal_finetuning_low", "gain_equal_total_high"):
        np.testing.assert_array_equal(data[name].astype(float), wanted[name])


def test_of_many_settings_the_largest_and_the_smallest_gains_are_drawn(
    study: tuple[StudyResults, Frames], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gains, "MOST_ROWS", 6)
    every, few = gains.gain_data(study[1]["gap"]), rows_of(gains, study)
    order = every["gain_equal_finetuning"].sort_values()
    assert len(every) == 16 and sorted(few["gain_equal_finetuning"]) == [*order[:3], *order[-3:]]
    assert "6 of 16 settings" in gains.draw(few)[1]


def test_the_heat_map_holds_one_slice_and_says_which(study: tuple[StudyResults, Frames]) -> None:
    data = rows_of(heatmap, study)
    assert data["held"].iloc[0] == "10 epochs of pretraining, nothing frozen, 4 labelled real scans"
    gap = study[1]["gap"]
    gap = gap[(gap["pretrain_epochs"] == 10) & (gap["freeze"] == "none") & (gap["labelled_scans"] == 4)]
    for name in heatmap.MAPS:
        np.testing.assert_allclose(data[data["measure"] == name]["mean"], 100 * gap[name])
    assert set(data["certain"]) == {True, False} or data["certain"].all()
    figure, note = heatmap.draw(data)
    hatched = [[bool(p.get_hatch()) for p in axis.patches] for axis in figure.axes]
    assert [h for axis in hatched for h in axis] == (~data["certain"].astype(bool)).tolist()
    said = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert said[0].startswith(f"{100 * gap['domain_gap'].iloc[0]:+.1f}\n±") and "hatched" in note


def test_more_pretraining_is_shown_at_its_epochs(study: tuple[StudyResults, Frames]) -> None:
    data = rows_of(epochs, study)
    assert set(data["epochs"]) == {3, 10} and data["series"].nunique() == 4 and len(data) == 16
    figure, _ = epochs.draw(data)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["3", "10"]


def test_label_efficiency_has_a_line_for_each_training(study: tuple[StudyResults, Frames]) -> None:
    data = rows_of(labels, study)
    assert set(data["line"]) == set(labels.LINES) and set(data["scans"]) == {4, 16}
    figure, note = labels.draw(data)
    assert len(figure.axes) == 4 and "nothing frozen" in note
    low, high = figure.axes[0].get_ylim()
    assert low == 0 and high > data[["mean", "high"]].max(axis=None), "nothing is cut off"


# -- classes and confusions -------------------------------------------------------------------------------------------


def test_bars_of_classes_are_those_of_the_table_and_harm_is_marked(study: tuple[StudyResults, Frames]) -> None:
    data = rows_of(classes, study)
    assert list(dict.fromkeys(data["what"])) == ["the largest gain", "the smallest gain"]
    assert [("wide, width 512" in s, "wide, width 1024" in s) for s in dict.fromkeys(data["setting"])] == [
        (True, False), (False, True),
    ]  # fmt: skip
    assert len(data) == 2 * 19
    table = study[1]["per_class"]
    third = data[data["name"] == "class-3"]
    assert (third["harm"] == "yes").all() and (third["finetuned"] < 12).all() and (third["scratch"] > 25).all()
    best = data[data["what"] == "the largest gain"]
    assert not (best[best["name"] != "class-3"]["harm"] == "yes").any()
    assert best["scratch"].isin(100 * table["scratch"]).all()


def test_harm_that_no_interval_shows_is_another_mark(tmp_path: Path) -> None:
    results = load_study(make_study(tmp_path, seeds=(0,), curves=False))
    data = classes.rows(results, all_tables(results))
    assert not isinstance(data, str) and set(data["harm"]) <= {"", "less"}


def test_rows_of_confusions_are_whole_and_of_the_right_networks(study: tuple[StudyResults, Frames]) -> None:
    results, frames = study
    data = rows_of(confusion, study)
    np.testing.assert_allclose(data.groupby(["stage", "truth"])["percent"].sum(), 100)
    cells = [c for c in results.cells if c.key == ("wide", 512, *(_best(frames)))]
    total = sum(c.matrix("finetuned", "real") for c in cells)  # type: ignore[misc]
    wanted = 100 * total[5, 5] / total[5].sum()
    own = data[(data["stage"] == "fine-tuned") & (data["truth"] == "class-5") & (data["predicted"] == "class-5")]
    assert float(own["percent"].iloc[0]) == pytest.approx(wanted)
    assert "ignored" in set(data["predicted"]) and "ignored" not in set(data["truth"])
    figure, note = confusion.draw(data)
    tick_labels = [[label.get_text() for label in axis.get_yticklabels()] for axis in figure.axes]
    assert tick_labels[0][0] == "class-1" and figure.axes[0].get_ylim()[0] > figure.axes[0].get_ylim()[1]
    assert "3 seeds together" in note


def _best(frames: Frames) -> tuple[Any, ...]:
    gap = frames["gap"]
    row = gap.loc[gap["gain_equal_finetuning"].idxmax()]
    return row["pretrain_epochs"], row["freeze"], row["labelled_scans"]


# -- a search ---------------------------------------------------------------------------------------------------------


def test_a_search_is_drawn_from_a_plain_table(study: tuple[StudyResults, Frames]) -> None:
    points = pd.DataFrame(
        {
            "backbone": ["a", "b", "a", "b"], "width": [512, 512, 512, 512], "pretrain_epochs": [5, 50, 10, 5],
            "learning_rate": [1e-4, 1e-3, 1e-2, 1e-1], "validation_miou": [0.2, 0.4, np.nan, 0.3],
        }
    )  # fmt: skip
    data = rows_of(search, (study[0], study[1] | {"points": points}))
    drawn = ["backbone", "pretrain_epochs", "learning_rate"]
    assert list(data.columns) == [*drawn, "validation_miou"], "one width is no axis"
    assert list(data["validation_miou"]) == [0.2, 0.3, 0.4], "the best is drawn last, what is unfinished not at all"
    figure, note = search.draw(data)
    lines = figure.axes[0].collections[0].get_segments()
    assert len(lines) == 3 and note.startswith("3 points")
    assert lines[-1][-1][1] == 1.0 and lines[0][-1][1] == 0.0
    assert lines[1][0][1] == 1.0 and lines[0][0][1] == 0.0, "b above a"
    middle = lines[2][24][1]  # the third upright, 1e-3 between 1e-4 and 1e-1
    assert middle == pytest.approx(math.log(1e-3 / 1e-4) / math.log(1e-1 / 1e-4), abs=1e-6)


@pytest.mark.parametrize("value", [[0.2, np.nan], [0.2, 0.2]])
def test_a_search_that_has_hardly_begun(study: tuple[StudyResults, Frames], value: list[float]) -> None:
    points = pd.DataFrame({"width": [512, 512], "validation_miou": value})
    assert "fewer than two points" in str(search.rows(study[0], study[1] | {"points": points}))


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_pictures_are_of_the_best_and_the_worst_setting(study: tuple[StudyResults, Frames]) -> None:
    found = pictures.pictures(*study)
    assert [p.name for p in found] == [
        f"scan-{which}-gain-{role}" for which in ("largest", "smallest") for role in ("start", "finetuned", "scratch")
    ]
    assert "wide, width 512" in found[0].setting and "wide, width 1024" in found[-1].setting
    assert all(p.png.startswith(PNG) for p in found)


# -- black and white, and other eyes ----------------------------------------------------------------------------------


def rgb(colour: str) -> np.ndarray:
    return 255 * np.array(to_rgb(colour))


def test_curves_are_told_apart_without_colour() -> None:
    dashes = {str(style["linestyle"]) for style in curves.STYLES.values()}
    assert len(dashes) == 3, "pretraining and fine-tuning are both solid: the circle at epoch 0 parts them"
    pretraining, fine_tuning = (rgb(curves.STYLES[name]["color"]) for name in (curves.PRETRAINING, curves.FINETUNING))
    for vision in VISIONS:
        assert difference(pretraining, fine_tuning, vision) > 20, vision


def test_lines_of_series_differ_in_marker_and_dash() -> None:
    from lidartune.figure_style import SERIES

    assert len({marker for _, marker, _ in SERIES}) == len({str(dash) for *_, dash in SERIES}) == len(SERIES)


def test_bars_differ_in_lightness_or_hatch() -> None:
    styles = [style for _, style in classes.BARS.values()]
    for first, style in enumerate(styles):
        for other in styles[first + 1 :]:
            apart = abs(lightness(rgb(style["facecolor"])) - lightness(rgb(other["facecolor"])))
            assert apart > 15 or style.get("hatch") != other.get("hatch")


@pytest.mark.parametrize("name", [heatmap.COLOURS, confusion.COLOURS, search.COLOURS])
def test_maps_keep_their_order_in_grey_and_for_every_eye(name: str) -> None:
    steps = [255 * np.array(colour[:3]) for colour in colormaps[name](np.linspace(0, 1, 9))]
    falling = np.diff([lightness(step) for step in steps])
    assert (falling > 2).all() or (falling < -2).all()
    for vision in VISIONS:
        assert min(difference(a, b, vision) for a, b in zip(steps, steps[1:], strict=False)) > 2, vision


def test_figures_on_the_fields_of_a_map_can_be_read(study: tuple[StudyResults, Frames]) -> None:
    figure, _ = heatmap.draw(rows_of(heatmap, study))
    for axis in figure.axes:
        for text, field in zip(axis.texts, axis.patches, strict=True):
            ground, ink = (lightness(255 * np.array(c[:3])) for c in (field.get_facecolor(), to_rgb(text.get_color())))
            assert abs(ground - ink) > 40, text.get_text()


def test_svg_text_is_text(drawn: dict[str, figures.Drawn]) -> None:
    gain = drawn["gain"].svg
    assert gain is not None and any(re.match(r"narrow, width 512, epochs 3", text) for text in texts(gain))

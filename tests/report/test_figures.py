from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from lidartune.report import figures, load_study

from .made_up_study import make_study


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


def test_figures_are_the_same_bytes_twice_and_hold_no_date(finished: Path, tmp_path: Path) -> None:
    results = load_study(finished)
    for draw, data in ((figures.draw_curves, figures.curve_data), (figures.draw_gains, figures.gain_data)):
        for name in ("a.svg", "b.svg"):
            draw(data(results), tmp_path / name)
        text = (tmp_path / "a.svg").read_text()
        assert text == (tmp_path / "b.svg").read_text()
        assert "<dc:date>" not in text and ET.fromstring(text).tag.endswith("svg")


def test_gains_are_those_of_the_gap_table(finished: Path) -> None:
    from lidartune.report.settings import gap_table

    results = load_study(finished)
    table = gap_table(results)
    wanted = table[table["pretrain_epochs"] > 0]
    data = figures.gain_data(results)
    for name in ("gain_equal_finetuning", "gain_equal_finetuning_low", "gain_equal_total_high"):
        np.testing.assert_allclose(data[name].astype(float), wanted[name])


@pytest.mark.parametrize("seeds", [(), (0,)])
def test_nothing_or_one_seed_can_be_drawn(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    results = load_study(make_study(tmp_path, seeds=seeds))
    figures.draw_curves(figures.curve_data(results), tmp_path / "curves.svg")
    figures.draw_gains(figures.gain_data(results), tmp_path / "gap.svg")
    assert ET.parse(tmp_path / "gap.svg").getroot().tag.endswith("svg")


def test_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    results = load_study(make_study(tmp_path, seeds=(0,), backbones=("$x_1$<script>&_",)))
    figures.draw_curves(figures.curve_data(results), tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    assert "<script>" not in text
    shown = [element.text for element in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert "$x_1$<script>&_, width 512, 8 real scans" in shown

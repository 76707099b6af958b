"""The page's three sentences: what they say is in the tables, and no more than the seeds allow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lidartune.report import load_study
from lidartune.report.opening import Sentence, opening
from lidartune.report.opening_marks import opening_list
from lidartune.report.tables import all_tables

from .made_up_study import default_accuracy, make_study
from .test_ladder import SHARES, laddered

SIX, TWO = range(6), range(2)


def gains(gain: Callable[[dict[str, Any]], float], spread: float = 0.01) -> Callable[[dict[str, Any], str, str], float]:
    """Scratch 0.4; fine-tuned more by the gain of the cell, other from seed to seed by the spread."""

    def accuracy(cell: dict[str, Any], role: str, domain: str) -> float:
        shift = spread * (cell["seed"] % 3 - 1)
        if role == "finetuned" and domain == "real":
            return 0.4 + gain(cell) + shift
        return {"pretrained": 0.2, "full_equal": 0.3 + shift}.get(role, 0.4)

    return accuracy


def sentences(root: Path, **study: Any) -> list[Sentence]:
    results = load_study(make_study(root, curves=False, **study))
    return opening(results, all_tables(results))


@pytest.mark.parametrize(
    ("gain", "seeds", "says"),
    [
        (0.06, SIX, "On this pair pretraining for 3 epochs helps by 6.0 ± 0.9 points at 8 labelled real scans."),
        (-0.06, SIX, "On this pair pretraining for 3 epochs does harm, by 6.0 ± 0.9 points, at 8 labelled real scans."),
        (0.06, (0, 1, 2), "pretraining for 3 epochs seems to help, by 6.0 ± 2.5 points, at 8"),
        (-0.06, (0, 1, 2), "pretraining for 3 epochs seems to do harm, by 6.0 ± 2.5 points, at 8"),
        (0.001, SIX, "it cannot be told whether pretraining for 3 epochs helps (+0.1 ± 0.9 points) at 8"),
        (0.06, (1,), "pretraining for 3 epochs gains +6.0 points in the one seed that there is, at 8"),
    ],
)
def test_what_pretraining_does(tmp_path: Path, gain: float, seeds: Any, says: str) -> None:
    assert says in sentences(tmp_path, accuracy=gains(lambda cell: gain), seeds=seeds)[0].text


@pytest.mark.parametrize(
    ("at_48", "says"),
    [
        (0.001, "by 6.0 ± 0.9 points at 4 labelled real scans, and no longer measurably at 48 labelled real scans (+0"),
        (0.03, "by 6.0 ± 0.9 points at 4 labelled real scans, and by 3.0 ± 0.9 points at 48 labelled real scans."),
        (-0.03, "by 6.0 ± 0.9 points at 4 labelled real scans, and does harm at 48 labelled real scans (\u22123.0"),
    ],
)
def test_what_it_does_with_more_labelled_scans(tmp_path: Path, at_48: float, says: str) -> None:
    accuracy = gains(lambda cell: 0.06 if cell["labelled_scans"] == 4 else at_48)
    assert says in sentences(tmp_path, accuracy=accuracy, seeds=SIX, labelled=(48, 4))[0].text


def test_the_figures_are_those_of_the_tables(tmp_path: Path) -> None:
    results = load_study(make_study(tmp_path, widths=(512, 1024), freezes=("none", "encoder"), curves=False))
    frames = all_tables(results)
    first, second, third = opening(results, frames)
    summary = frames["summary"].set_index("measure")
    assert first.interval is not None and third.interval is not None and second.interval is not None
    assert first.interval.mean == summary.loc["gain_equal_finetuning", "mean"]
    assert third.interval.low == summary.loc["domain_gap", "mean_low"]
    effects = frames["effects"]
    row = effects[(effects["value"] == "encoder") & (effects["measure"] == "finetuned")].iloc[0]
    assert second.interval.mean == row["difference"] and second.text.startswith("Freezing the encoder")
    assert "Mean over 4 settings, 3 seeds (5 are needed to call anything significant)" in first.more


def test_what_freezing_costs(tmp_path: Path) -> None:
    accuracy = gains(lambda cell: 0.06 if cell["freeze"] == "none" else 0.04)
    found = sentences(tmp_path, accuracy=accuracy, seeds=SIX, freezes=("none", "encoder"))
    assert found[1].text == "Freezing the encoder costs 2.0 ± 0.0 points."


def test_without_freezing_another_choice_has_its_say(tmp_path: Path) -> None:
    accuracy = gains(lambda cell: {512: 0.06, 1024: 0.09}[cell["width"]])
    found = sentences(tmp_path, accuracy=accuracy, seeds=SIX, widths=(512, 1024))
    assert found[1].text == "Width 1024 instead of 512 brings 3.0 ± 0.0 points."
    assert len(sentences(tmp_path / "one", seeds=TWO)) == 2, "one value of each axis: nothing to say"


def test_the_largest_part_of_the_gap_by_class(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any], role: str, domain: str) -> Any:
        share = default_accuracy(cell, "full_equal", domain) * 0 + 0.5
        if role == "pretrained" and domain == "real":
            share = share - 0.01
            share[4] = 0.1
        return share - 0.002 * (cell["seed"] % 3) * (role == "pretrained")

    found = sentences(tmp_path, accuracy=accuracy, seeds=SIX)[-1]
    assert "below networks trained on real ones; the largest part of the gap is class-5, " in found.text
    part = 0.4 / (0.4 + 18 * 0.01)  # a little less for the seeds' shift, alike in all classes
    said = float(found.text.split("class-5, ")[1].split(" %")[0])
    assert 100 * part - 6 < said < 100 * part and "`ladder: all`" in found.more


def test_the_largest_part_of_the_gap_by_the_ladder(tmp_path: Path) -> None:
    results = load_study(laddered(tmp_path))
    found = opening(results, all_tables(results))[-1]
    best = sum(SHARES["self_training"]) / 3 - sum(SHARES["none"]) / 3
    assert "its largest part that goes without a real label seems to go with self_training" in found.text
    assert f"(+{100 * best:.1f} ± " in found.text and "% of it" in found.text
    assert "The best of 3 rungs" in found.more and "prior_oracle" not in found.text


def test_a_ladder_that_shows_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rung, shares in {"adabn": (0.21, 0.2, 0.19), "raydrop_global": (0.19, 0.23, 0.17)}.items():
        monkeypatch.setitem(SHARES, rung, shares)
    monkeypatch.setitem(SHARES, "self_training", (0.2, 0.23, 0.19))
    results = load_study(laddered(tmp_path))
    found = opening(results, all_tables(results))[-1]
    assert "no rung of the ladder shows that it closes a part, self_training comes closest (+0.7 ± " in found.text


def test_a_ladder_without_a_gap_closes_nothing(tmp_path: Path) -> None:
    def no_gap(cell: dict[str, Any], role: str, domain: str) -> float:
        return 0.1 if role == "full_equal" else default_accuracy(cell, role, domain)

    results = load_study(laddered(tmp_path, top=no_gap))
    found = opening(results, all_tables(results))[-1].text
    assert (
        "above networks trained on real ones; of the ladder's rungs without a real label self_training brings" in found
    )


@pytest.mark.parametrize(
    ("seeds", "verb", "end"),
    [(SIX, "score", "."), ((0, 1, 2), "seem to score", "."), ((1,), "score", ", in one seed.")],
)
def test_the_gap_is_said_as_surely_as_the_seeds_allow(tmp_path: Path, seeds: Any, verb: str, end: str) -> None:
    text = sentences(tmp_path, accuracy=gains(lambda cell: 0.06), seeds=seeds)[-1].text
    assert f"trained on synthetic scans {verb} 10.0" in text
    assert ("on real ones" + end in text) or (end == "." and "on real ones; " in text)


def test_the_choice_with_the_largest_effect_says_that_it_was_picked(tmp_path: Path) -> None:
    widths = sentences(tmp_path / "three", widths=(512, 1024, 2048))
    assert "The largest of 3 such differences: expect less elsewhere." in widths[1].more
    assert "largest of" not in sentences(tmp_path / "two", widths=(512, 1024))[1].more


@pytest.mark.parametrize("seeds", [(), (0,)])
def test_little_or_nothing_is_no_end(tmp_path: Path, seeds: Any) -> None:
    found = sentences(tmp_path, seeds=seeds)
    assert len(found) == (2 if seeds else 0)
    shown = opening_list(found)
    assert ("<ol" in shown) == bool(seeds) and ("yet" in shown) != bool(seeds)
    assert all("±" not in sentence.text for sentence in found)


def test_marks_are_on_one_scale_and_say_their_figures(tmp_path: Path) -> None:
    shown = opening_list(sentences(tmp_path, accuracy=gains(lambda cell: 0.06), seeds=SIX))
    assert shown.count("role='img'") == 2 and "aria-label='+5.1 to +6.9 points'" in shown
    assert "<code>ladder: all</code>" in shown

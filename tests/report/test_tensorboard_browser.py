"""What a person sees who opens the results folder in TensorBoard, in a headless browser."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lidartune.report.tensorboard import StudyWriter
from tests.pictures.browser import CHROMIUM, Page, browser

from .made_up_study import make_study
from .tensorboard_api import Api

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

# TensorBoard's page is made of elements inside each other's shadows, where querySelector does not look.
EVERYTHING = """(() => {
  const found = [];
  const look = (root) => root.querySelectorAll('*').forEach((e) => {
    found.push(e);
    if (e.shadowRoot) look(e.shadowRoot);
  });
  look(document);
  return found;
})()"""
SHOWN = f"{EVERYTHING}.filter((e) => e.checkVisibility && e.checkVisibility())"
TEXT = f"{SHOWN}.flatMap((e) => [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent)).join('|')"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    study = make_study(tmp_path_factory.mktemp("results"), pretrain_epochs=(0, 3), seeds=(0, 1))
    StudyWriter(study, study.parent / "runs")
    url = Api(study / "tensorboard").url
    profile = tmp_path_factory.mktemp("profile")
    with browser(profile, "--window-size=2200,1000") as page:
        page.evaluate(f"location.href = '{url}/#hparams'")
        time.sleep(1)  # a page that is on its way out answers nothing
        page.wait("document.readyState === 'complete'")
        yield page


def show(page: Page, tab: str, until: str) -> str:
    """Goes to a tab; its text once `until` is shown."""
    page.evaluate(f"location.hash = '{tab}'")
    page.wait(f"({TEXT}).includes({until!r})")
    text: str = page.evaluate(TEXT)
    return text


def test_hparams_shows_the_axes_and_the_headline_figures(page: Page) -> None:
    text = show(page, "hparams", "squeezesegv2-512-3ep-none-8scans-seed1")
    for title in ("fine-tuned mIoU", "gain at equal fine-tuning", "gain at equal total", "domain gap"):
        assert text.count(title) >= 2, title  # beside the table and above its column
    assert all(axis in text for axis in ("pretrain epochs", "seed", "backbone"))
    assert "0.45" in text


def test_runs_have_readable_names_and_pretraining_and_fine_tuning_share_a_chart(page: Page) -> None:
    text = show(page, "custom_scalars", "Pretraining scored on synthetic, fine-tuning on real")
    assert "squeezesegv2-512-p3-none-real-n8-s0" in text and "cells/squeezesegv2-512-3ep-none-8scans-seed0" in text
    # Two cells with pretraining, two curves each, in one chart.
    page.wait(f"({TEXT}).includes('(4)')")
    assert page.evaluate(f"{SHOWN}.filter((e) => e.tagName === 'VZ-LINE-CHART2').length") == 3


def test_pr_curves_are_drawn_for_the_classes(page: Page) -> None:
    text = show(page, "pr_curves", "test real/class-1")
    assert "test synthetic" in text and "test real/class-2" in text

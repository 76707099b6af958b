"""The report's page in a real browser: tables sort and filter, curves are compared and read, with mouse and keys."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lidartune.report import write_report

from ..pictures.browser import CHROMIUM, NO_WEBGL, Page, browser, watched
from .made_up_study import NAMES, edit, make_study

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
EVIL = "</script><script>document.title='taken'</script><b>\"'"
GAP = "document.querySelector('#gap-and-gains table')"
MATRIX = "document.querySelector('#trained-on-scored-on .wide')"
CHOSEN = "[...document.querySelectorAll('#chart .list input:checked')].map((box) => box.parentElement.textContent)"


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A study of eight settings, and one whose names are markup."""
    plain = make_study(
        tmp_path_factory.mktemp("plain"), backbones=("alpha", "beta"), widths=(512, 1024), pretrain_epochs=(3, 10),
        real_classes=range(1, 18), seeds=(0, 1),
    )  # fmt: skip
    names = ["ignored", EVIL, *NAMES[2:]]
    evil = make_study(tmp_path_factory.mktemp("evil"), widths=(512, 1024), seeds=(0, 1), names=names)
    edit(evil / "plan.json", lambda p: p.update(study=EVIL))
    edit(evil / "plan.json", lambda p: [c.update(freeze=EVIL) for c in p["cells"]])
    pages = {"plain": write_report(plain) / "index.html", "evil": write_report(evil) / "index.html"}
    assert pages["plain"].stat().st_size < 2_000_000
    return {name: page.as_uri() for name, page in pages.items()}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile"), *NO_WEBGL) as page:
        yield page


@pytest.fixture
def page(window: Page, urls: dict[str, str]) -> Iterator[Page]:
    """The page, just opened; it has fetched nothing and complained of nothing when the test is over."""
    with watched(window, urls["plain"], ("file:", "data:")):
        yield window


def column(page: Page, head: str) -> list[str]:
    """What stands in a column of the gap table, in the rows that are shown."""
    return page.evaluate(
        f"""(() => {{
          const at = [...{GAP}.tHead.rows[0].cells].findIndex((cell) => cell.textContent.trim() === '{head}');
          const rows = [...{GAP}.tBodies[0].rows].filter((row) => !row.hidden);
          return rows.map((row) => row.cells[at].textContent);
        }})()"""
    )


def centre(page: Page, element: str) -> tuple[float, float]:
    """The middle of an element, in the window."""
    page.evaluate(f"{element}.scrollIntoView({{block: 'center'}})")
    x, y, width, height = page.evaluate(
        f"(() => {{ const b = {element}.getBoundingClientRect(); return [b.x, b.y, b.width, b.height] }})()"
    )
    return x + width / 2, y + height / 2


def head(name: str) -> str:
    return f"[...{GAP}.tHead.rows[0].cells].find((cell) => cell.textContent.trim() === '{name}')"


def test_it_fetches_nothing_and_opens_with_sentences(page: Page) -> None:
    assert len([url for url in page.requests if url.startswith("file:")]) == 1, "the page itself"
    sentences = page.evaluate("[...document.querySelectorAll('.opening li p:first-child')].map((p) => p.textContent)")
    assert len(sentences) == 3
    assert sentences[0].startswith("On this pair") and "pretraining for 10 epochs" in sentences[0]
    top = page.evaluate("document.querySelector('.opening').getBoundingClientRect().top")
    assert top < 200, "before anything else"


def test_a_click_on_a_head_sorts_and_a_second_one_turns_round(page: Page) -> None:
    before = column(page, "fine-tuned")
    page.click(*centre(page, f"{head('fine-tuned')}.querySelector('button')"))
    assert column(page, "fine-tuned") == sorted(before, key=float)
    assert page.evaluate(f"{head('fine-tuned')}.getAttribute('aria-sort')") == "ascending"
    page.click(*centre(page, f"{head('fine-tuned')}.querySelector('button')"))
    assert column(page, "fine-tuned") == sorted(before, key=float, reverse=True)
    assert page.evaluate(f"{head('fine-tuned')}.getAttribute('aria-sort')") == "descending"
    page.evaluate(f"{head('width')}.querySelector('button').click()")
    assert column(page, "width") == ["512"] * 4 + ["1024"] * 4, "as numbers, not as words"
    assert page.evaluate(f"{GAP}.querySelectorAll('[aria-sort]').length") == 1


def test_what_is_above_or_below_a_figure_is_sorted_by_it(page: Page) -> None:
    cells = (
        f"[...{GAP}.tBodies[0].rows].map((row) => row.cells[[...{GAP}.tHead.rows[0].cells].indexOf({head('width')})])"
    )
    texts = [">48", "21 [14, 33]", "<8", "n/a", "9 [5, 16]", "60 [50, 72]", "<0.001", ">100"]
    page.evaluate(f"{cells}.forEach((cell, i) => {{ cell.textContent = {texts!r}[i]; }})")
    page.evaluate(f"{head('width')}.querySelector('button').click()")
    wanted = ["<0.001", "<8", "9 [5, 16]", "21 [14, 33]", ">48", "60 [50, 72]", ">100", "n/a"]
    assert page.evaluate(f"{cells}.map((cell) => cell.textContent)") == wanted


def test_keys_alone_reach_a_head_and_sort(page: Page) -> None:
    page.evaluate("document.querySelector('#gap-and-gains select').focus()")
    for _ in range(12):
        if page.evaluate("document.activeElement.closest('th') !== null"):
            break
        page.key("Tab")
    assert page.evaluate("document.activeElement.textContent") == "backbone"
    style = "getComputedStyle(document.activeElement)"
    assert page.evaluate(f"{style}.outlineStyle + {style}.outlineWidth") == "solid3px", "the focus is seen"
    page.key("Enter", text="\r")
    assert page.evaluate(f"{head('backbone')}.getAttribute('aria-sort')") == "ascending"
    page.key("Enter", text="\r")
    assert column(page, "backbone") == ["beta"] * 4 + ["alpha"] * 4


def test_rows_are_filtered_by_value_and_by_text(page: Page) -> None:
    assert len(column(page, "width")) == 8
    choose = "(() => {{ const s = document.querySelectorAll('#gap-and-gains .filters select')[{}]; s.value = '={}'; "
    page.evaluate(choose.format(0, "beta") + "s.dispatchEvent(new Event('change')) })()")
    assert column(page, "backbone") == ["beta"] * 4
    search = "document.querySelector('#gap-and-gains input[type=search]')"
    page.evaluate(f"{search}.focus()")
    for letter in "1024":
        page.key(letter, text=letter)
    assert column(page, "width") == ["1024"] * 2
    assert page.evaluate("document.querySelector('#gap-and-gains .count').textContent") == "2 of 8 rows"
    page.evaluate("document.querySelector('#gap-and-gains .filters button').click()")
    assert len(column(page, "width")) == 8


def test_classes_begin_with_one_setting(page: Page) -> None:
    rows = "[...document.querySelectorAll('#class-by-class tbody tr')]"
    assert page.evaluate(f"{rows}.length") == 8 * 17
    assert page.evaluate(f"{rows}.filter((row) => !row.hidden).length") == 17


def test_choosing_settings_changes_the_curves(page: Page) -> None:
    lines = "Number(document.body.dataset.lines)"
    assert page.evaluate(CHOSEN) and page.evaluate(lines) == 4
    before = page.evaluate("document.querySelector('#chart .drawing svg').innerHTML")
    page.click(*centre(page, "document.querySelectorAll('#chart .list input:not(:checked)')[0]"))
    assert len(page.evaluate(CHOSEN)) == 2 and page.evaluate(lines) == 8
    assert page.evaluate("document.querySelector('#chart .drawing svg').innerHTML") != before
    for kind in range(2):  # both curves of pretraining
        page.evaluate(f"document.querySelectorAll('#chart .kinds input')[{kind}].click()")
    assert page.evaluate(lines) == 4
    values = "document.querySelectorAll('#chart details tbody tr').length"
    assert page.evaluate(values) == 4, "the same curves as a table"
    page.evaluate("[...document.querySelectorAll('#chart button')].find((b) => b.textContent === 'draw none').click()")
    assert page.evaluate(lines) == 0 and page.evaluate(CHOSEN) == []


def test_no_more_settings_than_there_are_colours(page: Page) -> None:
    page.evaluate("document.querySelectorAll('#chart .list input:not(:checked)').forEach((box) => box.click())")
    assert len(page.evaluate(CHOSEN)) == 6
    assert page.evaluate("document.querySelectorAll('#chart .list input:disabled').length") == 2
    strokes = """[...document.querySelectorAll("#chart .line[data-kind='2'] path:last-of-type")].map((path) =>
      getComputedStyle(path).stroke)"""
    assert len(set(page.evaluate(strokes))) == 6
    page.evaluate("document.querySelector('#chart .list input:checked').click()")
    assert page.evaluate("document.querySelectorAll('#chart .list input:disabled').length") == 0


def test_settings_to_draw_are_filtered(page: Page) -> None:
    shown = "[...document.querySelectorAll('#chart .list label')].filter((item) => item.offsetHeight > 0).length"
    assert page.evaluate(shown) == 8
    page.evaluate(
        "(() => { const s = document.querySelector('#chart .filters select'); s.value = '=alpha'; "
        "s.dispatchEvent(new Event('change')) })()"
    )
    assert page.evaluate(shown) in (4, 5), "those of alpha, and what is drawn"


def test_values_are_read_with_the_mouse(page: Page) -> None:
    mark = "document.querySelector(\"#chart .line[data-kind='2'] path:last-of-type\")"
    page.hover(*centre(page, mark))  # epoch 0 of fine-tuning
    said = page.evaluate("document.querySelector('.reading').innerText")
    assert "epoch 0" in said and "fine-tuning" in said and "2 seeds" in said
    page.hover(5, 5)
    assert page.evaluate("document.querySelector('.reading').hidden")


def test_values_are_read_with_keys(page: Page) -> None:
    page.evaluate("document.querySelector('#chart .drawing svg').focus()")
    status = "document.querySelector('#chart .hush[role=status]').textContent"
    page.key("ArrowRight")
    first = page.evaluate(status)
    assert "fine-tuning" in first and "epoch 0" in first
    page.key("ArrowRight")
    assert "epoch 1" in page.evaluate(status)
    page.key("End")
    assert "epoch 4" in page.evaluate(status)
    page.key("ArrowDown")
    assert "from scratch" in page.evaluate(status)
    page.key("Escape")
    assert page.evaluate("document.querySelector('.reading').hidden")


@pytest.mark.parametrize("width", [360, 768, 1200, 1600])
def test_the_page_is_never_wider_than_the_window(page: Page, urls: dict[str, str], width: int) -> None:
    page.open(urls["plain"], width=width, height=740, touch=width < 700)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('#chart .drawing svg').clientWidth") > 0.6 * min(width, 500)
    inside = page.evaluate(f"{MATRIX}.scrollWidth > {MATRIX}.clientWidth")
    assert inside or width > 700, "on a phone the table scrolls inside"


def test_without_scripts_everything_is_there(page: Page, urls: dict[str, str]) -> None:
    page.open(urls["plain"], scripts=False)
    # This reads the page from outside: its own scripts are off.
    assert page.evaluate(f"{GAP}.querySelectorAll('tbody tr').length") == 8
    assert page.evaluate("document.querySelectorAll('#class-by-class tbody tr').length") == 8 * 17
    assert page.evaluate("[...document.querySelectorAll('tbody tr')].every((row) => row.offsetHeight > 0)")
    assert page.evaluate("document.querySelector('details.still').open")
    assert page.evaluate("document.querySelectorAll('figure svg').length") >= 6
    assert page.evaluate("document.getElementById('chart').offsetHeight") == 0
    page.open(urls["plain"])


def test_light_and_dark(page: Page, urls: dict[str, str]) -> None:
    light = page.screenshot().mean()
    page.open(urls["plain"], dark=True)
    assert light > 200 and page.screenshot().mean() < 70
    contrast = page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert min(int(part) for part in contrast[4:-1].split(",")) > 180, "figures turn light too"


def test_on_paper_what_is_folded_is_shown(page: Page) -> None:
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every((each) => each.open)")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate("document.querySelector('details.still').open")


def test_names_that_are_markup_stay_text(page: Page, urls: dict[str, str]) -> None:
    page.open(urls["evil"])
    assert page.evaluate("document.title") == f"Transfer study {EVIL}"
    assert page.evaluate("document.querySelectorAll('b').length") == 0
    assert EVIL in page.evaluate("document.querySelector('.facts').textContent")
    page.evaluate("document.querySelectorAll('#chart .list input').forEach((box) => box.checked || box.click())")
    assert page.evaluate("document.querySelectorAll('b, #chart script').length") == 0


def test_every_contents_link_leads_somewhere(page: Page) -> None:
    links = "[...document.querySelectorAll('nav a')]"
    lost = f"{links}.filter((a) => !document.querySelector(a.getAttribute('href'))).length"
    assert page.evaluate(f"{links}.length") > 4 and page.evaluate(lost) == 0


def test_ids_are_there_once(page: Page) -> None:
    ids = page.evaluate("[...document.querySelectorAll('section[id], div[id], script[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    assert np.all([page.evaluate("document.querySelectorAll('svg [id^=figure_]').length") == 0])

"""The page in a real browser: a person can turn the cloud, and nothing goes wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lidartune.pictures.labelled import LabelledScan
from lidartune.pictures.page import cloud_page
from lidartune.scans import CLASS_COLORS

from .browser import CHROMIUM, NO_WEBGL, SOFTWARE_WEBGL, Page, browser, watched
from .conftest import ROAD

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
STAGE = (slice(0, 800), slice(0, 860))  # the part of the window that the cloud has
LIGHT, DARK = (244, 245, 247), (13, 16, 19)

OVERLAPS = """(() => {
  const texts = [];
  const walk = document.createTreeWalker(document.getElementById('panel'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (!node.textContent.trim() || node.parentElement.closest('noscript,[hidden]')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) texts.push([node.textContent.trim(), box]);
  }
  for (const other of document.querySelectorAll('#panel input,#panel .swatch,#panel .bar'))
    texts.push([other.className || other.type, other.getBoundingClientRect()]);
  const panel = document.getElementById('panel').getBoundingClientRect(), wrong = [];
  texts.forEach(([text, a], i) => {
    if (a.left < panel.left - 0.5 || a.right > panel.right + 0.5) wrong.push('outside: ' + text);
    texts.slice(i + 1).forEach(([other, b]) => {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 3) wrong.push(text + ' / ' + other);
    });
  });
  return wrong.concat(texts.length < 15 ? ['hardly any text'] : []);
})()"""


@pytest.fixture(scope="module")
def files(scan: LabelledScan, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """URLs of pages: all that is known, points alone, and names that are markup."""
    folder = tmp_path_factory.mktemp("pages")
    evil = "</script><script>document.title='taken'</script><b>"
    assert scan.taxonomy is not None
    names = tuple(evil if name == "road" else name for name in scan.taxonomy.names)
    scans = {
        "all": scan,
        "bare": replace(scan, truth=None, prediction=None, taxonomy=None),
        "evil": replace(scan, title=evil, taxonomy=replace(scan.taxonomy, names=names)),
    }
    for name, each in scans.items():
        (folder / f"{name}.html").write_text(cloud_page(each), encoding="utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in scans}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile"), *SOFTWARE_WEBGL) as page:
        yield page


@pytest.fixture
def page(window: Page, files: dict[str, str]) -> Iterator[Page]:
    """The page of a scan with everything, just opened; nothing may have gone wrong when the test is over."""
    with watched(window, files["all"]):
        yield window
        assert window.evaluate("document.body.dataset.failed") is None


def fact(page: Page, name: str) -> str:
    return page.evaluate(f"document.body.dataset.{name}")


def view(page: Page) -> np.ndarray:
    """Yaw, pitch, distance, target x, y, z."""
    return np.array([float(number) for number in fact(page, "view").split()])


def cloud(page: Page) -> np.ndarray:
    return page.screenshot()[STAGE].astype(int)


def drawn(picture: np.ndarray, background: tuple[int, int, int] = LIGHT) -> np.ndarray:
    return (np.abs(picture - background) > 3).any(-1)


def test_it_draws_every_point_in_the_colours_of_its_class(page: Page, scan: LabelledScan) -> None:
    assert page.evaluate("document.title") == scan.title
    assert int(fact(page, "drawn")) == len(scan.points)
    assert fact(page, "coloring") == "truth"
    picture = cloud(page)
    assert 0.005 < drawn(picture).mean() < 0.5
    road = (picture == CLASS_COLORS[ROAD]).all(-1)
    assert road.sum() > 500
    assert len(page.requests) == 1, "the page itself, and nothing more"


def test_webgl_is_used_where_there_is_some(page: Page) -> None:
    if not page.evaluate("Boolean(document.createElement('canvas').getContext('webgl'))"):
        pytest.skip("this browser has no WebGL, not even in software")
    assert fact(page, "renderer") == "webgl"
    assert page.evaluate("document.getElementById('say').hidden")


def test_arrow_keys_turn_the_cloud_and_r_brings_the_first_view_back(page: Page) -> None:
    first, picture = view(page), cloud(page)
    for key in ("ArrowLeft", "ArrowLeft", "ArrowUp"):
        page.key(key)
    turned = view(page)
    assert turned[0] < first[0] and turned[1] > first[1] and np.array_equal(turned[2:], first[2:])
    assert (drawn(cloud(page)) != drawn(picture)).mean() > 0.005
    page.key("r", text="r")
    assert np.array_equal(view(page), first) and np.array_equal(cloud(page), picture)


def test_plus_minus_and_the_wheel_zoom(page: Page) -> None:
    distance = view(page)[2]
    page.key("+", text="+")
    assert view(page)[2] < distance
    page.key("-", text="-")
    assert view(page)[2] == pytest.approx(distance)
    page.wheel(400, 400, -240)
    assert view(page)[2] < 0.8 * distance
    page.wheel(400, 400, 480)
    assert view(page)[2] > distance


def test_dragging_turns_and_dragging_with_shift_moves(page: Page) -> None:
    first = view(page)
    page.drag((300, 300), (420, 360))
    turned = view(page)
    assert turned[0] < first[0] and turned[1] > first[1] and np.array_equal(turned[3:], first[3:])
    page.drag((300, 300), (400, 300), shift=True)
    moved = view(page)
    assert np.array_equal(moved[:3], turned[:3]) and np.abs(moved[3:] - turned[3:]).max() > 1
    page.drag((300, 300), (200, 300), button="right")
    assert np.abs(view(page)[3:] - turned[3:]).max() < 0.01, "the right button moves it back"


def test_a_dragged_point_follows_the_hand(page: Page) -> None:
    for _ in range(20):
        page.key("ArrowUp")  # from above all points are about equally far
    before = drawn(cloud(page))
    page.drag((300, 300), (400, 260), shift=True)
    after = drawn(cloud(page))
    alike = np.fft.ifft2(np.fft.fft2(after) * np.conj(np.fft.fft2(before))).real
    down, right = np.unravel_index(alike.argmax(), alike.shape)
    assert abs(right - 100) <= 6 and abs(down - (800 - 40)) <= 6


def test_two_fingers_zoom_and_one_turns(window: Page, files: dict[str, str]) -> None:
    window.open(files["all"], width=420, height=800, touch=True)
    first = view(window)
    window.touches([(200, 200)], [(240, 220)], [(280, 240)])
    turned = view(window)
    assert turned[0] < first[0] and turned[2] == first[2]
    window.touches([(180, 200), (220, 200)], [(140, 200), (260, 200)], [(100, 200), (300, 200)])
    assert view(window)[2] < 0.6 * first[2]


def test_number_keys_choose_the_colours(page: Page) -> None:
    seen = []
    for number, name in enumerate(("truth", "prediction", "error", "remission", "range", "height"), start=1):
        page.key(str(number), text=str(number))
        assert fact(page, "coloring") == name
        assert page.evaluate("document.querySelector('#colorings input:checked').value") == name
        seen.append(cloud(page).tobytes())
    assert len(set(seen)) == 6, "each looks different"


def test_a_class_can_be_hidden_and_stays_hidden_in_other_colours(page: Page, scan: LabelledScan) -> None:
    assert scan.truth is not None
    page.evaluate(f"document.querySelector('#legend input[data-code=\"{ROAD}\"]').click()")
    left = int((scan.truth != ROAD).sum())
    assert int(fact(page, "drawn")) == left
    assert not (cloud(page) == CLASS_COLORS[ROAD]).all(-1).any()
    page.key("5", text="5")
    assert int(fact(page, "drawn")) == left
    assert page.evaluate("document.getElementById('elsewhere').textContent").startswith("class: 1 of ")
    assert f"{left:,} of {len(scan.points):,} points" in page.evaluate("document.getElementById('shown').textContent")
    page.evaluate("document.getElementById('everything').click()")
    assert int(fact(page, "drawn")) == len(scan.points)


def test_only_the_errors_by_what_was_predicted(page: Page, scan: LabelledScan) -> None:
    assert scan.outcomes is not None
    page.key("3", text="3")
    page.evaluate("document.querySelectorAll('#legend button')[1].click()")
    assert fact(page, "drawn") == "0" and not drawn(cloud(page)).any()
    page.evaluate("document.querySelector('#legend input[data-code=\"2\"]').click()")
    page.key("2", text="2")
    assert int(fact(page, "drawn")) == int((scan.outcomes == 2).sum()) > 0


def test_larger_points_cover_more(page: Page) -> None:
    before = drawn(cloud(page)).sum()
    page.evaluate("size.value = 6; size.dispatchEvent(new Event('input'))")
    page.wait("Number(document.body.dataset.frames) > 1")
    page.key("Shift")
    assert drawn(cloud(page)).sum() > 3 * before


def test_arrows_belong_to_a_slider_while_it_is_used(page: Page) -> None:
    first = view(page)
    page.evaluate("size.focus()")
    page.key("ArrowRight")
    assert np.array_equal(view(page), first)


@pytest.mark.parametrize(("dark", "background"), [(False, LIGHT), (True, DARK)])
def test_it_is_light_or_dark_as_the_reader_likes(
    page: Page, files: dict[str, str], dark: bool, background: tuple[int, int, int]
) -> None:
    page.open(files["all"], dark=dark)
    picture = cloud(page)
    assert picture[5, 5].tolist() == list(background)
    assert drawn(picture, background).mean() > 0.005
    page.key("d", text="d")
    assert cloud(page)[5, 5].tolist() == list(DARK if not dark else LIGHT)


CHANGED = """(() => {
  const colouring = JSON.parse(document.getElementById('scan').textContent).colorings[0];
  const swatches = [...document.querySelectorAll('#legend .swatch')].map((s) => s.style.background.replaceAll(' ', ''));
  return colouring.entries.filter((e, i) => swatches[i] !== `rgb(${colouring.table[e.code].join(',')})`).length;
})()"""


@pytest.mark.parametrize(("dark", "how"), [(False, "darker"), (True, "lighter")])
def test_colours_that_differ_from_the_pictures_are_counted_and_explained(
    page: Page, files: dict[str, str], dark: bool, how: str
) -> None:
    page.open(files["all"], dark=dark)
    changed, note = page.evaluate(CHANGED), "document.getElementById('changed').textContent"
    assert changed > 0 and page.evaluate(note).startswith(f"{changed} of ")
    assert f"are {how} here than in the PNG, to stand out from the background" in page.evaluate(note)
    page.key("3", text="3")
    assert page.evaluate(note) == "" or page.evaluate(note)[0] in "123"


@pytest.mark.parametrize(("width", "height"), [(1200, 800), (1920, 1080), (420, 900)])
def test_no_text_overlaps(page: Page, files: dict[str, str], width: int, height: int) -> None:
    page.open(files["all"], width=width, height=height)
    for key in "12356":
        page.key(key, text=key)
        assert page.evaluate(OVERLAPS) == [], key
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_points_alone_can_be_turned_too(page: Page, files: dict[str, str], scan: LabelledScan) -> None:
    page.open(files["bare"])
    assert fact(page, "coloring") == "remission" and int(fact(page, "drawn")) == len(scan.points)
    page.key("1", text="1")
    assert fact(page, "coloring") == "remission", "there is no class to colour by"
    page.key("6", text="6")
    assert fact(page, "coloring") == "height"
    assert page.evaluate("document.querySelectorAll('#colorings input:disabled').length") == 3


def test_names_that_are_markup_stay_text(page: Page, files: dict[str, str]) -> None:
    page.open(files["evil"])
    assert page.evaluate("document.title") == page.evaluate("document.querySelector('h1').textContent") != "taken"
    assert page.evaluate("document.querySelectorAll('b').length") == 0


def test_without_webgl_the_same_cloud_is_drawn_point_by_point(
    page: Page, files: dict[str, str], scan: LabelledScan, tmp_path: Path
) -> None:
    expected = cloud(page)
    with browser(tmp_path, *NO_WEBGL) as other:
        other.open(files["all"])
        assert fact(other, "renderer") == "2d" and int(fact(other, "drawn")) == len(scan.points)
        assert "WebGL is not available" in other.evaluate("document.getElementById('say').innerText")
        picture = cloud(other)
        assert not [text for text in other.complaints if "WebGL" not in text]
        first = view(other)
        other.key("ArrowLeft")
        assert view(other)[0] < first[0]
    both = (drawn(picture) & drawn(expected)).sum() / (drawn(picture) | drawn(expected)).sum()
    assert both > 0.7
    road = [(each == CLASS_COLORS[ROAD]).all(-1).sum() for each in (picture, expected)]
    assert 0.8 < road[0] / road[1] < 1.25


def test_a_graphics_card_that_goes_away_is_no_end(page: Page, scan: LabelledScan) -> None:
    if fact(page, "renderer") != "webgl":
        pytest.skip("this browser has no WebGL")
    page.key("ArrowLeft")
    turned = view(page)
    page.evaluate("document.querySelector('canvas').getContext('webgl').getExtension('WEBGL_lose_context').loseContext()")
    page.wait("document.body.dataset.renderer === '2d'")
    assert drawn(cloud(page)).mean() > 0.005 and np.array_equal(view(page), turned)
    page.complaints[:] = [text for text in page.complaints if "CONTEXT_LOST" not in text]

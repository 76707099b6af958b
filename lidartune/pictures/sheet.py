"""A picture put together: titles, bands with their keys, a legend; as the bytes of a small PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lidartune.pictures.bands import Band, Swatch
from lidartune.pictures.scales import LEVELS, Scale

INK, SOFT = (27, 31, 36), (93, 102, 113)
FRAME = (160, 166, 173)
TEXT_PX, SMALL_PX = 15, 12
MOST_UNIT = 2.0  # a wider canvas makes a wider sheet, not a taller one
SHADES = 17  # steps between text and paper: keeps the picture within a palette


@dataclass(frozen=True, kw_only=True)
class Section:
    """The bands of one scan, below a title and a line of figures."""

    bands: Sequence[Band]
    title: str = ""
    note: str = ""


def draw_sheet(
    sections: Sequence[Section], legend: Sequence[Swatch], *, width_px: int, band_px: int = 128
) -> bytes:
    """PNG of sections below one another and a legend; all bands have the same number of columns.

    Bands are enlarged by whole factors, so that no pixel is lost or blended: across to at most `width_px` (wider
    canvases keep one pixel per column, and their text grows with them up to MOST_UNIT times), down to about `band_px`.
    """
    return lay_out(sections, legend, width_px=width_px, band_px=band_px).png()


def lay_out(sections: Sequence[Section], legend: Sequence[Swatch], *, width_px: int, band_px: int = 128) -> Sheet:
    """Where everything on a sheet goes. Arguments as `draw_sheet`'s."""
    columns = sections[0].bands[0].pixels.shape[1]
    factor = max(1, width_px // columns)
    sheet = Sheet(inner=columns * factor, unit=min(max(1.0, columns * factor / width_px), MOST_UNIT), band_px=band_px)
    for section in sections:
        sheet.heading(section)
        for band in section.bands:
            sheet.band(band, factor)
    sheet.legend(legend)
    return sheet


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of text; x, y is its upper left corner."""

    x: int
    y: int
    text: str
    font: ImageFont.FreeTypeFont
    soft: bool


@dataclass(kw_only=True)
class Sheet:
    """Filled from top to bottom; `y` is where the next thing goes. Lengths are pixels, times `unit` where planned.

    Attributes:
        inner: width between the margins.
        images, boxes, lines: what is drawn, in this order; a box is left, top, right, bottom.
    """

    inner: int
    unit: float
    band_px: int
    y: int = 0
    images: list[tuple[int, int, Image.Image]] = field(default_factory=list)
    boxes: list[tuple[tuple[int, int, int, int], tuple[int, int, int]]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.margin = self.px(16)
        self.font = _font(TEXT_PX * self.unit)
        self.small = _font(SMALL_PX * self.unit)
        self.y = self.px(12)

    def px(self, length: float) -> int:
        return round(length * self.unit)

    def heading(self, section: Section) -> None:
        if not section.title:
            return
        self.y += self.px(14) if self.images else 0
        end = self._text(self.margin, self.y, section.title, self.font) + self.px(18)
        if section.note and end + self.small.getlength(section.note) > self.margin + self.inner:
            self.y += self.px(20)
            end = self.margin
        self._text(end, self.y + self.px(3), section.note, self.small, soft=True)
        self.y += self.px(26)

    def band(self, band: Band, factor: int) -> None:
        height, columns = band.pixels.shape[:2]
        self._text(self.margin, self.y + self.px(5), band.title, self.font)
        if isinstance(band.key, Scale):
            self._scale(band.key)
        else:
            self._swatches(band.key)
        self.y += self.px(28)
        tall = height * max(1, round(self.px(self.band_px) / height))
        image = Image.fromarray(band.pixels).resize((columns * factor, tall), Image.Resampling.NEAREST)
        self.boxes.append(((self.margin - 1, self.y - 1, self.margin + self.inner, self.y + tall), FRAME))
        self.images.append((self.margin, self.y, image))
        self.y += tall + self.px(6)

    def _scale(self, scale: Scale) -> None:
        """A bar of the scale's colours at the right end, its ticks as numbers above."""
        width = self.px(5) * LEVELS if self.inner > self.px(520) else self.px(2) * LEVELS
        unit = f" {scale.unit}" if scale.unit else ""
        left = self.margin + self.inner - width - self.px(28)
        bar = np.repeat(scale.table[None], self.px(7), axis=0)
        image = Image.fromarray(bar).resize((width, self.px(7)), Image.Resampling.NEAREST)
        self.images.append((left, self.y + self.px(17), image))
        free = -math.inf
        for tick in scale.ticks:
            number = f"{tick:.10g}"
            text = number + (unit if tick == scale.ticks[-1] else "")
            size = self.small.getlength(text)
            x = round(left + width * float(scale.position(tick)) - self.small.getlength(number) / 2)
            if x > free or tick == scale.ticks[-1]:
                self._text(x, self.y + self.px(2), text, self.small, soft=True)
                free = x + size + self.px(4)

    def _swatches(self, swatches: Sequence[Swatch]) -> None:
        """A row at the right end."""
        texts = [f"{s.text}  {s.detail}".strip() for s in swatches]
        x = self.margin + self.inner - round(sum(self.small.getlength(t) + self.px(34) for t in texts)) + self.px(16)
        for swatch, text in zip(swatches, texts, strict=True):
            self._swatch(x, self.y + self.px(8), self.px(12), swatch.color)
            x = self._text(x + self.px(18), self.y + self.px(7), text, self.small, soft=True) + self.px(16)

    def legend(self, swatches: Sequence[Swatch]) -> None:
        if not swatches:
            self.y += self.px(6)
            return
        self.y += self.px(8)
        detailed = any(s.detail for s in swatches)
        widest = max(max(self.font.getlength(s.text), self.small.getlength(s.detail)) for s in swatches)
        column = round(widest) + self.px(48)
        per_row = max(1, min(len(swatches), (self.inner + self.px(20)) // column))
        rows = math.ceil(len(swatches) / per_row)
        height = self.px(40 if detailed else 24)
        for number, swatch in enumerate(swatches):
            x, y = self.margin + column * (number // rows), self.y + height * (number % rows)
            self._swatch(x, y + self.px(2), self.px(16), swatch.color)
            self._text(x + self.px(24), y, swatch.text, self.font)
            if swatch.detail:
                self._text(x + self.px(24), y + self.px(18), swatch.detail, self.small, soft=True)
        self.y += height * rows + self.px(6)

    def _swatch(self, x: int, y: int, size: int, color: tuple[int, int, int]) -> None:
        self.boxes += [((x, y, x + size, y + size), FRAME), ((x + 1, y + 1, x + size - 1, y + size - 1), color)]

    def _text(self, x: int, y: int, text: str, font: ImageFont.FreeTypeFont, soft: bool = False) -> int:
        """Writes a line, cut off where the sheet ends; returns where it ends."""
        room = self.margin + self.inner - x
        if font.getlength(text) > room + self.margin:
            while text and font.getlength(text + "...") > room:
                text = text[:-1]
            text += "..."
        if text:
            self.lines.append(Line(x=x, y=y, text=text, font=font, soft=soft))
        return round(x + font.getlength(text))

    @property
    def size(self) -> tuple[int, int]:
        return self.inner + 2 * self.margin, self.y + self.px(6)

    def png(self) -> bytes:
        size = self.size
        page = Image.new("RGB", size, (255, 255, 255))
        draw = ImageDraw.Draw(page)
        for box, color in self.boxes:
            draw.rectangle(box, fill=color)
        for x, y, image in self.images:
            page.paste(image, (x, y))
        for soft, color in ((False, INK), (True, SOFT)):
            layer = Image.new("L", size)
            pen = ImageDraw.Draw(layer)
            for line in self.lines:
                if line.soft == soft:
                    pen.text((line.x, line.y), line.text, fill=255, font=line.font)
            step = 255 / (SHADES - 1)
            page.paste(color, mask=layer.point([round(round(v / step) * step) for v in range(256)]))
        content = io.BytesIO()
        _with_palette(page).save(content, "PNG")  # optimize=True takes six times as long for a tenth fewer bytes
        return content.getvalue()


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow without FreeType has no scalable font"
    return font


def _with_palette(image: Image.Image) -> Image.Image:
    """The same picture with one byte per pixel where it has at most 256 colours."""
    counted = image.getcolors(256)
    if counted is None:
        return image
    colors = np.array(sorted(color for _, color in counted), dtype=np.uint32)
    known = colors[:, 0] << 16 | colors[:, 1] << 8 | colors[:, 2]
    pixels = np.asarray(image)
    numbers = np.empty(pixels.shape[:2], np.uint8)
    for top in range(0, len(pixels), 64):  # wide sheets would take gigabytes at once
        strip = pixels[top : top + 64].astype(np.uint32)
        numbers[top : top + 64] = np.searchsorted(known, strip[..., 0] << 16 | strip[..., 1] << 8 | strip[..., 2])
    small = Image.fromarray(numbers)
    small.putpalette(colors.astype(np.uint8).tobytes())
    return small

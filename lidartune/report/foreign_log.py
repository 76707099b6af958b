"""A training log of lidar-bonnetal, or of anybody who writes TensorBoard event files, as one curve of scores."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidartune.errors import UserError, nearest
from lidartune.report.foreign_events import EventFile, read_event_file
from lidartune.report.plain_text import plain_name
from lidartune.scans import load_taxonomy
from lidartune.scans.document import read_document
from lidartune.transfer.gap import Floats

BONNETAL, OURS, OTHER = "lidar-bonnetal", "lidartune", "another program"
BONNETAL_TAG = "valid_iou"
_BONNETAL_MARKS = {BONNETAL_TAG, "train_iou", "train_loss", "train_update"}  # CENet and SalsaNext log them too
_VALIDATED = ("valid_loss", "valid_acc", BONNETAL_TAG)
_WRITTEN = _BONNETAL_MARKS | {*_VALIDATED, "train_acc", "post_lr"}
_RATES = {"backbone_lr": "encoder", "decoder_lr": "decoder", "head_lr": "head"}


@dataclass(frozen=True, kw_only=True)
class Log:
    """One log's scores and what is known of it.

    Attributes:
        writer: BONNETAL, OURS or OTHER, as its tags tell.
        tag: whose values `scores` are.
        trained: (E,) ascending; epochs trained when the score was taken, or the steps as they stand where the writer is
            not known. 0 = before the first update.
        scores: (E,) mIoU as fractions.
        rates: `encoder`, `decoder`, `head` -> (E',) learning rates; lidar-bonnetal writes 0 for a part that is frozen.
        backbone, width, batch_size, train_sequences, valid_sequences, classes: from arch_cfg.yaml and data_cfg.yaml;
            None where they are not there.
        notes: what was left out or read with a guess.
        other_tags: its other scalars, of whose meaning nothing is known here.
    """

    path: Path
    writer: str
    tag: str
    trained: NDArray[np.int64]
    scores: Floats
    rates: dict[str, Floats]
    backbone: str | None
    width: int | None
    batch_size: int | None
    train_sequences: tuple[str, ...] | None
    valid_sequences: tuple[str, ...] | None
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]
    other_tags: tuple[str, ...] = ()

    @property
    def best(self) -> int:
        """Index of the highest score, the first of several."""
        return int(np.argmax(self.scores))

    @property
    def freeze(self) -> str:
        """Which parts had no learning rate throughout: `none`, `encoder`, ...; empty where the tags do not say."""
        if set(self.rates) != set(_RATES.values()) or not any(rate.any() for rate in self.rates.values()):
            return ""
        frozen = [part for part, rate in self.rates.items() if not rate.any()]
        return "+".join(frozen) or "none"


def read_log(path: Path, *, tag: str | None = None, domain: str = "real") -> Log:
    """Reads an event file, a folder of them, or a lidar-bonnetal log folder (events in `tb`, two YAML files beside it).

    Args:
        tag: the scalar that is the mIoU; by default what lidar-bonnetal or lidartune call it.
        domain: whose validation scores are taken where a log has those of both, as lidartune's do.

    Raises:
        UserError: nothing there, no event file, several runs in one folder, no such tag, or values that are no mIoU.
    """
    files = sorted((read_event_file(file) for file in _event_files(path)), key=lambda f: (f.began, f.path.name))
    notes = [f"{plain_name(file.path.name)}: {problem}" for file in files for problem in file.problems]
    tags = sorted({name for file in files for name in file.series})
    tag = _score_tag(path, tags, tag, domain)
    writer = BONNETAL if set(tags) >= _BONNETAL_MARKS else OURS if tag.startswith("miou validation/") else OTHER
    if writer == BONNETAL and tag not in (BONNETAL_TAG, "train_iou"):
        writer = OTHER
    steps, scores = _one_run(files, tag, notes)
    steps, scores = _finite(steps, scores, notes)
    config, notes_of_config = _config(path)
    if writer == BONNETAL and tag == BONNETAL_TAG:
        steps, scores = _scored_anew(steps, scores, files, config.get("report_epoch"), notes)
    if not len(scores):
        found = f"no value of {plain_name(tag)!r} that is a number"
        raise UserError("this log holds no score", where=path, found=found)
    scores = _fractions(scores, path, tag, notes)
    known = {tag} if writer == OTHER else {tag, *_WRITTEN, *_RATES}
    rates = {part: _one_run(files, name, [])[1] for name, part in _RATES.items() if name in tags}
    return Log(
        path=path, writer=writer, tag=tag, trained=steps + (writer == BONNETAL), scores=scores, rates=rates,
        backbone=config.get("backbone"), width=config.get("width"), batch_size=config.get("batch_size"),
        train_sequences=config.get("train"), valid_sequences=config.get("valid"), classes=config.get("classes"),
        notes=(*notes, *notes_of_config),
        other_tags=tuple(name for name in tags if name not in known) if writer != OURS else (),
    )  # fmt: skip


def _event_files(path: Path) -> list[Path]:
    """The event files of a log: itself, those in it, those in its `tb`, or those of the one folder below with any."""
    if path.is_file():
        return [path]
    if path.is_dir():
        for folder in (path, path / "tb"):
            if found := [file for file in folder.glob("*tfevents*") if file.is_file()]:
                return found
        below = sorted({file.parent for file in path.rglob("*tfevents*") if file.is_file()})
        if len(below) == 1:
            return [file for file in below[0].glob("*tfevents*") if file.is_file()]
        if below:
            names = ", ".join(str(folder.relative_to(path)) for folder in below[:8])
            raise UserError(
                "this folder holds several logs", where=path, found=names, wanted="one", do="name one of them"
            )
    raise UserError(
        "there is no event file here",
        where=path,
        found="a folder without one" if path.is_dir() else "nothing",
        wanted="an events.out.tfevents file, or the log folder that holds it",
        do="check the path",
    )


def _score_tag(path: Path, tags: list[str], wanted: str | None, domain: str) -> str:
    if wanted is not None and wanted in tags:
        return wanted
    known = (BONNETAL_TAG, f"miou validation/{domain} points")
    if wanted is None:
        for tag in known:
            if tag in tags:
                return tag
    listed = ", ".join(repr(plain_name(tag)) for tag in tags[:20])
    listed += f" and {len(tags) - 20} more" if tags[20:] else ""
    raise UserError(
        "this log has no such tag" if wanted else "this log has no tag that is known to be a validation mIoU",
        where=path,
        found=listed or "no scalar at all",
        wanted=repr(plain_name(wanted)) if wanted else " or ".join(map(repr, known)),
        do=nearest(wanted, map(plain_name, tags[:1000])) if wanted and tags else "name the tag with --tag",
    )


def _one_run(files: list[EventFile], tag: str, notes: list[str]) -> tuple[NDArray[np.int64], Floats]:
    """A tag's values in the order of steps. Where steps begin again, what was written later counts.

    As in TensorBoard, a restart at step s makes void all that was written before at s and later: the steps after the
    restart's last belong to a training that was given up.
    """
    steps: list[int] = []
    scores: list[float] = []
    void: set[int] = set()
    for file in files:
        for step, score in file.series.get(tag, ()):
            if steps and step <= steps[-1]:
                at = bisect_left(steps, step)
                void.update(steps[at:])
                del steps[at:], scores[at:]
            steps.append(step)
            scores.append(score)
    if void:
        given_up = len(void - set(steps))
        what = f"{plain_name(tag)}: the training began again ({len(files)} event files): "
        what += f"steps {min(void)} to {max(void)} were written before; the later ones count"
        notes.append(what + (f", and {given_up} steps that were not written again are left out" if given_up else ""))
    return np.array(steps, dtype=np.int64), np.array(scores, dtype=np.float64)


def _finite(steps: NDArray[np.int64], scores: Floats, notes: list[str]) -> tuple[NDArray[np.int64], Floats]:
    keep = np.isfinite(scores)
    if not keep.all():
        notes.append(f"{int((~keep).sum())} scores that are not a number (nan or infinite) are left out")
    return steps[keep], scores[keep]


def _scored_anew(
    steps: NDArray[np.int64], scores: Floats, files: list[EventFile], every: int | None, notes: list[str]
) -> tuple[NDArray[np.int64], Floats]:
    """Without the epochs after which lidar-bonnetal did not validate: it logs its last figures again there."""
    if every is not None:
        keep, why = steps % every == 0, f"arch_cfg.yaml validates every {every} epochs"
    else:
        series = [dict(zip(*(a.tolist() for a in _one_run(files, name, [])), strict=True)) for name in _VALIDATED]
        rows = [tuple(values.get(step) for values in series) for step in steps.tolist()]
        keep = np.array([not i or None in rows[i] or rows[i] != rows[i - 1] for i in range(len(rows))], dtype=bool)
        why = "loss, accuracy and IoU are those of the epoch before to the last bit"
    if not keep.all():
        notes.append(f"{int((~keep).sum())} epochs were not scored and are left out ({why})")
    return steps[keep], scores[keep]


def _fractions(scores: Floats, path: Path, tag: str, notes: list[str]) -> Floats:
    if scores.min() < 0 or scores.max() > 100:
        raise UserError(
            "these values are no mIoU",
            where=path,
            found=f"{plain_name(tag)!r} from {scores.min():.4g} to {scores.max():.4g}",
            wanted="0 to 1, or 0 to 100 percent",
            do="name the tag of the mIoU with --tag",
        )
    if scores.max() <= 1:
        return scores
    notes.append(f"{plain_name(tag)} has values above 1: read as percent")
    return scores / 100


def _config(path: Path) -> tuple[dict[str, Any], list[str]]:
    """What arch_cfg.yaml and data_cfg.yaml beside the events say; what cannot be read is a note, not an error."""
    folder = path if path.is_dir() else path.parent
    folder = folder.parent if folder.name == "tb" else folder
    found: dict[str, Any] = {}
    notes: list[str] = []
    for name, read in (("arch_cfg.yaml", _arch), ("data_cfg.yaml", _data)):
        file = folder / name
        if not file.is_file():
            continue
        try:
            found |= read(file)
        except UserError as error:
            notes.append(f"{name} is left out: {plain_name(error.what)}")
    return found, notes


def _arch(path: Path) -> dict[str, Any]:
    arch = read_document(path, "this architecture configuration")
    backbone = _at(arch, "backbone", "name")
    layers = _at(arch, "backbone", "extra", "layers")
    if isinstance(backbone, str):
        backbone = plain_name(backbone.lower() + (str(layers) if type(layers) is int and layers < 1000 else ""))
    found: dict[str, Any] = {"backbone": backbone if isinstance(backbone, str) else None}
    for name, keys in (
        ("width", ("dataset", "sensor", "img_prop", "width")),
        ("batch_size", ("train", "batch_size")),
        ("report_epoch", ("train", "report_epoch")),
    ):
        value = _at(arch, *keys)
        found[name] = value if type(value) is int and 0 < value < 1_000_000 else None
    return found


def _data(path: Path) -> dict[str, Any]:
    taxonomy = load_taxonomy(path)
    classes = tuple(plain_name(name) for number, name in enumerate(taxonomy.names) if number not in taxonomy.ignore)
    sequences = {part: tuple(map(str, taxonomy.split[part])) for part in ("train", "valid") if part in taxonomy.split}
    return {"classes": classes, **sequences}


def _at(value: object, *keys: str) -> object:
    """What stands under keys inside each other, None where one is not there."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value

"""The TensorBoard run of one cell: its row of HParams, and its pretraining and fine-tuning as curves of one chart.

The step is the updates since pretraining began, so that fine-tuning goes on where its pretraining ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import metadata
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent

from lidartune.report.results import CHECKPOINT, CellResult, StudyResults
from lidartune.report.tensorboard import hparams
from lidartune.report.tensorboard.values import event, scalar

Curves = Mapping[str, Mapping[int, Mapping[str, float]]]
"""Run -> epoch -> domain -> validation mIoU on points."""

_PRETRAINING, _FINETUNING, _SCRATCH = "pretraining", "fine-tuning", "from scratch"
# (tag's beginning, role, roles of the same run at a later epoch)
_CURVES = ((_PRETRAINING, "pretrained", ()), (_FINETUNING, "finetuned", ()), (_SCRATCH, "scratch", ("scratch_longer",)))
_CHARTS = (
    ("Pretraining scored on synthetic, fine-tuning on real", ((_PRETRAINING, "synthetic"), (_FINETUNING, "real"))),
    ("All scored on real", ((_PRETRAINING, "real"), (_FINETUNING, "real"), (_SCRATCH, "real"))),
    ("All scored on synthetic", ((_PRETRAINING, "synthetic"), (_FINETUNING, "synthetic"), (_SCRATCH, "synthetic"))),
)


def cell_name(cell: CellResult) -> str:
    """`squeezesegv2-512-12ep-encoder-8scans-seed0`: a cell's axes, in one word each."""
    epochs = cell.pretrain_epochs
    before = f"{epochs}ep" if isinstance(epochs, int) else epochs
    return f"{cell.backbone}-{cell.width}-{before}-{cell.freeze}-{cell.labelled_scans}scans-seed{cell.seed}"


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What TensorBoard has to know of all cells.

    Attributes:
        words: the axes that HParams shows as words.
        values: the axes and figures of HParams, and the charts of Custom Scalars.
    """

    words: frozenset[str]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, cells: Sequence[CellResult]) -> Overview:
        words = hparams.axes_in_words(cells)
        return cls(words=words, values=(hparams.config(cells, words), _charts()))


def cell_events(
    results: StudyResults, cell: CellResult, curves: Curves, overview: Overview, wall_time: float
) -> list[Any]:
    """A cell's events: its curves as far as they are there, and where it is done its row of HParams.

    Args:
        wall_time: when the cell was done.
    """
    points = _curve_points(cell, results, curves)
    done = cell.status == "done"
    if not points and not done:
        return []
    begin = [*overview.values, *([hparams.beginning(cell, cell_name(cell), overview.words, wall_time)] if done else [])]
    events = [event(wall_time, 0, begin)]
    events += [event(wall_time, updates, values) for updates, values in sorted(points.items())]
    return events + (
        [event(wall_time, max(points, default=0), hparams.ending(results, cell, wall_time))] if done else []
    )


def _curve_points(cell: CellResult, results: StudyResults, curves: Curves) -> dict[int, list[Any]]:
    """Updates since pretraining began -> the values there."""
    before = cell.pretrain_epochs if isinstance(cell.pretrain_epochs, int) else 0
    points: dict[int, list[Any]] = {}
    for name, role, longer in _CURVES:
        place = cell.roles.get(role)
        if place is None or (role == "pretrained" and cell.pretrain_epochs == CHECKPOINT):
            continue
        later = [cell.roles[other] for other in longer if other in cell.roles]
        last = max(r.epoch for r in [place, *later] if r.run == place.run)
        offset = before if name == _FINETUNING else 0
        for epoch, scores in sorted(curves.get(place.run, {}).items()):
            if epoch <= last:
                values = [scalar(_tag(name, domain), v) for domain, v in scores.items() if not np.isnan(v)]
                points.setdefault((offset + epoch) * results.updates_per_epoch, []).extend(values)
    return points


def _tag(name: str, domain: str) -> str:
    return f"transfer/{name}, scored on {domain}"


def _charts() -> Any:
    """The layout of Custom Scalars."""
    charts = [
        Chart(title=title, multiline=MultilineChartContent(tag=[f"^{_tag(*where)}$" for where in curves]))
        for title, curves in _CHARTS
    ]
    title = "Validation mIoU on points over the updates since pretraining began"
    layout = Layout(category=[Category(title=title, chart=charts)]).SerializeToString()
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=TensorShapeProto(), string_val=[layout])
    return Summary.Value(tag=metadata.CONFIG_SUMMARY_TAG, metadata=metadata.create_summary_metadata(), tensor=tensor)

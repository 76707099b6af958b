"""A study's cells as rows of TensorBoard's HParams: the axes, and the headline figures of each cell that is done."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from lidartune.report.groups import KEY, mean_score
from lidartune.report.results import CellResult, StudyResults
from lidartune.report.tensorboard.values import scalar
from lidartune.transfer import gap

AXES = (*KEY, "seed")
HEADLINES = {
    "finetuned": "fine-tuned mIoU",
    "gain_equal_finetuning": "gain at equal fine-tuning",
    "gain_equal_total": "gain at equal total",
    "domain_gap": "domain gap",
    "scratch": "scratch mIoU",
}


def headline_figures(results: StudyResults, cell: CellResult) -> dict[str, float]:
    """The names of HEADLINES -> the cell's figure as the tables have it, one seed; nan = not there."""
    scores = {name: mean_score(results, cell, role, domain) for name, (role, domain) in gap.SCORES.items()}
    differences = {name: scores[minuend] - scores[minus] for name, (minuend, minus) in gap.DIFFERENCES.items()}
    return {name: (scores | differences)[name] for name in HEADLINES}


def axes_in_words(cells: Sequence[CellResult]) -> frozenset[str]:
    """The axes that hold a word, such as `all` labelled scans: all their values are then shown as words."""
    return frozenset(axis for axis in AXES if any(isinstance(_value(cell, axis), str) for cell in cells))


def config(cells: Sequence[CellResult], words: Collection[str]) -> Any:
    """What HParams has to know before it sees a row. TensorBoard shows axes first that differ between cells."""
    axes = []
    for axis in AXES:
        values = {_shown(cell, axis, words) for cell in cells}
        info = api_pb2.HParamInfo(
            name=axis,
            display_name=axis.replace("_", " "),
            type=api_pb2.DATA_TYPE_STRING if axis in words else api_pb2.DATA_TYPE_FLOAT64,
            differs=len(values) > 1,
        )
        info.domain_discrete.extend(sorted(values))
        axes.append(info)
    figures = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=_tag(name)), display_name=title)
        for name, title in HEADLINES.items()
    ]
    experiment = api_pb2.Experiment(hparam_infos=axes, metric_infos=figures)
    return _plugin_value(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))


def beginning(cell: CellResult, name: str, words: Collection[str], wall_time: float) -> Any:
    """A row's axes."""
    info = SessionStartInfo(group_name=name, start_time_secs=wall_time)
    for axis in AXES:
        value = _shown(cell, axis, words)
        if isinstance(value, str):
            info.hparams[axis].string_value = value
        else:
            info.hparams[axis].number_value = value
    return _plugin_value(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def ending(results: StudyResults, cell: CellResult, wall_time: float) -> list[Any]:
    """A row's figures, those that are there."""
    figures = headline_figures(results, cell)
    end = HParamsPluginData(session_end_info=SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=wall_time))
    return [
        *(scalar(_tag(name), value) for name, value in figures.items() if not np.isnan(value)),
        _plugin_value(metadata.SESSION_END_INFO_TAG, end),
    ]


def _plugin_value(tag: str, data: Any) -> Any:
    return Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)


def _tag(name: str) -> str:
    return f"headline/{HEADLINES[name]}"


def _value(cell: CellResult, axis: str) -> int | str:
    return cell.seed if axis == "seed" else cell.key[KEY.index(axis)]


def _shown(cell: CellResult, axis: str, words: Collection[str]) -> Any:
    """A value as HParams shows it: all of an axis are numbers, or all are words."""
    value = _value(cell, axis)
    return str(value) if axis in words else value

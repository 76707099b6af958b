"""Named recipes: what `preset` stands for where a study's YAML says `recipe: {preset: modern, ...}`. Imports no torch.

`bonnetal` trains as lidar-bonnetal's published configurations do (PRBonn/lidar-bonnetal, `train/tasks/semantic/config/
arch`): SGD with momentum 0.9 and weight decay 1e-4, one epoch of linear warm-up, then decay by update; negative
log-likelihood with weights 1 / (share + 0.001); learning rate, decay and batch size by backbone. What its trainer does
beside that, and none of which is done here:

- its skips carry no gradient, so that squeezesegv2's full-resolution skip never trains (`skip_gradient` is true here);
- means, deviations and class shares come from a configuration file, whatever dataset is trained on (measured here);
- a checkpoint that does not fit is reported by a line, and training goes on from random weights (refused here);
- starting from another's weights, nothing is scored before the first update (epoch 0 is scored here);
- its training score is a mean over batches, with 0 for absent classes; its validation drops the last partial batch;
- scores are of pixels, and the best epoch is picked on the sequence that is reported (points, and the last epoch here);
- nothing is seeded, and the log folder is emptied even where it holds the weights to start from.

`modern` is what later range-image work has found to help, in values that a milestone can be taken from at any epoch:
AdamW with a decaying learning rate, Lovasz-softmax beside the likelihood, square roots of the class weights, clipped
gradients, a moving average that is scored and handed on, and scans that are turned, mirrored, thinned and shaken. The
values are starting points: no search on the two datasets stands behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from lidartune.errors import UserError, nearest

Preset = Literal["bonnetal", "modern"]
PRESETS: tuple[Preset, ...] = get_args(Preset)

PUBLISHED: dict[str, tuple[float, float, int]] = {
    "squeezeseg": (0.01, 0.995, 36),
    "squeezesegv2": (0.002, 0.99, 8),
    "darknet21": (0.01, 0.995, 2),
    "darknet53": (0.005, 0.99, 8),
}
"""Learning rate, decay per epoch and batch size of lidar-bonnetal's configurations, on canvases of 64 x 2048."""
OTHERS = (0.01, 0.99, 8)


def expanded(values: Mapping[str, Any], updates_per_epoch: int, *, backbone: str | None = None) -> dict[str, Any]:
    """A recipe's values with what their `preset` stands for below them; without one, the values as they are.

    Args:
        values: fields of a `Recipe`, and `preset` where one is wanted; what is stated wins over the preset.
        updates_per_epoch: of the study; one epoch of warm-up is as many updates.
        backbone: whose published values are wanted; `OTHERS` for one that lidar-bonnetal has no configuration of.

    Raises:
        UserError: there is no such preset.
    """
    stated = {key: value for key, value in values.items() if key != "preset"}
    name = values.get("preset")
    if name is None:
        return stated
    if name not in PRESETS:
        raise UserError("unknown preset", where="preset", found=name, do=nearest(str(name), PRESETS))
    below = bonnetal(updates_per_epoch, backbone) if name == "bonnetal" else modern(updates_per_epoch)
    return below | stated


def bonnetal(updates_per_epoch: int, backbone: str | None = None) -> dict[str, Any]:
    """The published recipe of a backbone."""
    learning_rate, decay_per_epoch, batch_size = PUBLISHED.get(backbone or "", OTHERS)
    return {
        "optimizer": "sgd",
        "learning_rate": learning_rate,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "warmup_updates": updates_per_epoch,
        "schedule": "decay",
        "decay_per_epoch": decay_per_epoch,
        "batch_size": batch_size,
        "class_weights": "inverse",
        "class_weight_epsilon": 0.001,
        "skip_gradient": True,
    }


def modern(updates_per_epoch: int) -> dict[str, Any]:
    """A recipe of today, the same for all backbones."""
    return {
        "optimizer": "adamw",
        "learning_rate": 0.002,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "warmup_updates": updates_per_epoch,
        "schedule": "decay",
        "decay_per_epoch": 0.95,
        "batch_size": 8,
        "loss": {"nll": 1.0, "lovasz": 1.0},
        "class_weights": "sqrt",
        "clip_gradient_norm": 1.0,
        "ema": {"decay": 0.999, "use": "milestones"},
        "augmentation": {"rotate": True, "flip": 0.5, "drop": 0.1, "jitter_m": 0.01},
    }

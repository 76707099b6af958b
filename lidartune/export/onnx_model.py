"""A trained network as an ONNX model: raw range images in, logits out, and what they mean in its metadata."""

from __future__ import annotations

import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lidartune import __version__
from lidartune.canvas.projection import CHANNELS
from lidartune.errors import UserError
from lidartune.scans import CLASS_NAMES

if TYPE_CHECKING:
    from lidartune.scoring.trained import TrainedNetwork

OPSET = 17  # understood by onnxruntime 1.13 (2022) and later
IMAGE, MASK, LOGITS = "image", "mask", "logits"


class RawNetwork(nn.Module):
    """A network with its normalisation before it.

    Takes `image` (B, 5, H, W) float32, raw range, x, y, z [m] and remission, and `mask` (B, H, W) bool, where there is
    a point; what the image holds elsewhere does not matter.
    """

    def __init__(self, network: TrainedNetwork):
        super().__init__()
        self.model = network.model
        self.means, self.stds = (
            nn.Parameter(torch.tensor(values, device=network.device).view(1, -1, 1, 1), requires_grad=False)
            for values in (network.normalization.means, network.normalization.stds)
        )

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        normalised = (image - self.means) / self.stds
        return self.model(torch.where(mask.unsqueeze(1), normalised, torch.zeros_like(normalised)), mask)


def onnx_model(network: TrainedNetwork) -> bytes:
    """The network as an ONNX file: `image` and `mask` as RawNetwork takes them, any B, to `logits` (B, classes, H, W).

    Height and width are those of the canvas that it was trained on.

    Raises:
        UserError: the package onnx is not installed.
    """
    onnx = needed("onnx")
    sensor = network.spec.canvas
    image = torch.zeros(1, len(CHANNELS), sensor.height, sensor.width, device=network.device)
    mask = torch.ones(1, sensor.height, sensor.width, dtype=torch.bool, device=network.device)
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's age; the newer one needs another package
        torch.onnx.export(
            RawNetwork(network).eval(),
            (image, mask),
            written,  # type: ignore[arg-type]  # this exporter takes what can be written to
            input_names=[IMAGE, MASK],
            output_names=[LOGITS],
            dynamic_axes={name: {0: "batch"} for name in (IMAGE, MASK, LOGITS)},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(written.getvalue())
    sizes = (network.num_classes, sensor.height, sensor.width)
    for dimension, size in zip(model.graph.output[0].type.tensor_type.shape.dim[1:], sizes, strict=True):
        dimension.dim_value = size
    model.producer_name, model.producer_version = "lidartune", __version__
    model.doc_string = __doc__ or ""
    for key, value in metadata(network).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    return model.SerializeToString()


def metadata(network: TrainedNetwork) -> dict[str, str]:
    """What a program must know to use the model; all values but plain text are JSON."""
    sensor, own = network.spec.canvas, network.own_taxonomy
    facts: dict[str, Any] = {
        "channels": CHANNELS,
        "classes": own.names if own is not None else CLASS_NAMES,
        "sensor": {
            "height": sensor.height,
            "width": sensor.width,
            "fov_up_deg": sensor.fov_up_deg,
            "fov_down_deg": sensor.fov_down_deg,
        },
        "means": network.normalization.means,
        "stds": network.normalization.stds,
        "epoch": network.epoch,
    }
    try:
        taxonomy = network.taxonomy()
        facts["raw_ids"] = [taxonomy.learning_map_inv[number] for number in range(taxonomy.num_classes)]
    except UserError:
        pass  # trained with a taxonomy that is not built in: the classes' names must do
    return {
        "run": network.run,
        "backbone": network.spec.backbone,
        "weights_sha256": network.weights_sha256,
        "normalisation": "inside the model: image is raw, in metres; means and stds are for information",
        "prediction": "class 0 is what is ignored and is never predicted: 1 + argmax over logits[:, 1:]",
        **{key: json.dumps(value) for key, value in facts.items()},
    }


def needed(package: str) -> Any:
    """An optional package, imported; UserError that names the extra where it is not installed."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"the package {package} is needed for this, and is not installed",
            found=str(error),
            wanted="onnx and onnxruntime",
            do="pip install 'lidartune[export]'",
        ) from None

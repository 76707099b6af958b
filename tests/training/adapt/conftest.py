"""Canvases that nobody labelled, and thin networks whose running statistics are of other ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lidartune.backbones import build
from lidartune.backbones.network import Network
from lidartune.training.adapt.batchnorm import Scans
from lidartune.training.state import Normalization

CPU = torch.device("cpu")
HEIGHT, WIDTH = 8, 64
NORMALIZATION = Normalization(means=(9.0, 0.5, -0.5, -1.0, 0.3), stds=(6.0, 5.0, 5.0, 1.0, 0.2))


@dataclass(frozen=True)
class Unlabelled:
    """A canvas that answers with an error when anybody asks for its classes."""

    image: np.ndarray
    mask: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        raise AssertionError("a label was read")

    truth_image = truth


def canvases(count: int, seed: int = 0, farther: float = 1.0) -> list[Unlabelled]:
    """Scans that differ among each other, and from those of another `farther`; a fifth to a half of them is empty."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        mask = rng.random((HEIGHT, WIDTH)) < rng.uniform(0.5, 0.8)
        xyz = rng.normal(rng.uniform(-2, 2, (3, 1, 1)), rng.uniform(2, 8), (3, HEIGHT, WIDTH)) * farther
        image = np.stack([np.linalg.norm(xyz, axis=0), *xyz, rng.random((HEIGHT, WIDTH))])
        found.append(Unlabelled(np.where(mask, image, -1.0).astype(np.float32), mask))
    return found


def streamed(scans: Sequence[Unlabelled]) -> Scans:
    """A fresh generator at each call, as a reader gives: what has run out stays so."""

    def stream() -> Iterator[Unlabelled]:
        yield from scans

    return stream


def network(name: str = "darknet21", **options: object) -> Network:
    """A thin network whose running statistics come from other canvases than `canvases(n)`."""
    torch.manual_seed(3)
    stated: dict[str, object] = {"channels": 0.125, "bn_momentum": 0.3} | options
    found = build(name, **stated)  # type: ignore[arg-type]
    found.train()
    with torch.no_grad():
        for _ in range(3):
            show(found, canvases(2, seed=77, farther=0.4))
    return found.eval()


def show(model: Network, scans: Sequence[Unlabelled], normalization: Normalization = NORMALIZATION) -> torch.Tensor:
    """Logits of all scans in one batch, in whatever mode the network is."""
    images = torch.from_numpy(np.stack([scan.image for scan in scans]))
    masks = torch.from_numpy(np.stack([scan.mask for scan in scans]))
    logits: torch.Tensor = model(normalization.apply(images, masks), masks)
    return logits


def bits(model: Network) -> dict[str, bytes]:
    return {name: tensor.detach().numpy().tobytes() for name, tensor in model.state_dict().items()}

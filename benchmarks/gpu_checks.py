"""What benchmarks/gpu.py says of a device beyond speed: how far lower precision moves results, and what repeats."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from functools import partial

import torch
from gpu_modes import MODES, NUM_CLASSES, PRECISIONS, Setting, logits_by, running, tried, updates
from torch import Tensor

from lidartune.training.losses import weighted_loss

SETTLING = 60  # updates
NUMERICS_HEAD = [
    "backbone", "canvas", "batch", "mode", "largest logit difference / largest logit", "pixels of another class",
    "gradient difference / gradient", "pixels right in fp32",
]  # fmt: skip
NUMERICS_SAID = (
    f"Against fp32, from equal weights, without dropout. Logits and classes: in evaluation mode after {SETTLING} fp32 "
    "updates on made-up images, as class differences of untrained networks say nothing. Gradient: of the first "
    "training step, all parameters in one vector (Euclidean norms). fp64 shows how exact fp32 is itself."
)
DETERMINISM_HEAD = [
    "backbone", "canvas", "batch", "mode", "operations that torch calls not deterministic", "equal bits",
    "equal bits, deterministic algorithms asked for",
]  # fmt: skip
DETERMINISM_SAID = (
    "Operations: what torch warns of in a training step and a forward pass under "
    "`use_deterministic_algorithms(True, warn_only=True)`. Equal bits: whether three times two updates, from the same "
    "weights and random state, leave the same weights and statistics. An operation for which torch has a deterministic "
    "stand-in (bilinear interpolation is one) is not named, but costs bits where it is not asked for."
)


def numerics(settings: Iterable[Setting]) -> Iterator[list[str]]:
    """A row for each setting and other precision."""
    for setting in settings:
        settled: dict[str, Tensor] = {}
        for name in ("fp64", *PRECISIONS[1:]):
            yield [*setting.cells, name, *tried(4, setting.device, partial(_against_fp32, setting, name, settled))]


def _against_fp32(setting: Setting, name: str, settled: dict[str, Tensor]) -> list[str]:
    if not settled:
        network = setting.network(dropout=0.0, bn_momentum=0.1)
        with running(MODES["fp32"]):
            step = updates(network, setting, MODES["fp32"], learning_rate=0.02)
            for _ in range(SETTLING):
                step()
        settled |= network.state_dict()
    gradient, logits = _gradient_and_logits(setting, "fp32", settled)
    other_gradient, other_logits = _gradient_and_logits(setting, name, settled)
    classes, other_classes = (found[:, 1:].argmax(1) + 1 for found in (logits, other_logits))
    _, truth = setting.images_and_truth()
    return [
        f"{float((other_logits - logits).abs().max() / logits.abs().max()):.1e}",
        f"{float((other_classes != classes).double().mean()):.3%}",
        f"{float((other_gradient - gradient).norm() / gradient.norm()):.1e}",
        f"{float((classes == truth).double().mean()):.0%}",
    ]


def _gradient_and_logits(setting: Setting, name: str, settled: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The first step's gradient (parameters,), and logits (B, 20, H, W) by the settled weights; both float64."""
    mode, network = MODES.get(name, MODES["fp32"]), setting.network(dropout=0.0, bn_momentum=0.1)
    images, truth = setting.images_and_truth()
    weights = torch.ones(NUM_CLASSES, device=setting.device)
    if name == "fp64":
        network, images, weights = network.double(), images.double(), weights.double()
    with running(mode):
        call = logits_by(network.train(), mode)
        weighted_loss(call(images).to(weights.dtype), truth, weights).backward()
        gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        network.load_state_dict(settled)
        network.eval()
        with torch.no_grad():
            logits = call(images)
    return gradient.double(), logits.double()


def determinism(settings: Iterable[Setting]) -> Iterator[list[str]]:
    """A row for each setting and precision."""
    for setting in settings:
        for name in PRECISIONS:
            yield [*setting.cells, name, *tried(3, setting.device, partial(_repeated, setting, name))]


def _repeated(setting: Setting, name: str) -> list[str]:
    equal = "yes" if _equal_bits(setting, name) else "NO"
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            equal_when_asked = "yes" if _equal_bits(setting, name) else "NO"
            with running(MODES[name]), torch.no_grad():
                logits_by(setting.network().eval(), MODES[name])(setting.images_and_truth()[0])
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
    named = sorted({found for warning in caught if (found := _operation(str(warning.message)))})
    return [", ".join(f"`{name}`" for name in named) or "none", equal, equal_when_asked]


def _operation(message: str) -> str | None:
    """The operation that a warning of torch calls not deterministic; None where it is about something else."""
    if match := re.match(r"(\S+) does not have a deterministic implementation", message):
        return match[1]
    if "CuBLAS" in message and "CUBLAS_WORKSPACE_CONFIG" in message:
        return "cuBLAS without CUBLAS_WORKSPACE_CONFIG"
    return message.split(". ")[0][:80] if "deterministic" in message else None


def _equal_bits(setting: Setting, name: str) -> bool:
    """Whether three goes of two updates leave equal weights and statistics."""
    first: dict[str, Tensor] = {}
    for _ in range(3):
        network = setting.network()
        torch.manual_seed(1)  # of the dropout
        with running(MODES[name]):
            step = updates(network, setting, MODES[name])
            step()
            step()
        found = network.state_dict()
        first = first or found
        if not all(torch.equal(found[key], value) for key, value in first.items()):
            return False
    return True

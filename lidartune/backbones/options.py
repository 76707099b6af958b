"""Everything that `build` can be told, checked; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from lidartune.backbones.names import CANVAS_CHANNELS, INPUTS, NAMES, STRIDES
from lidartune.errors import UserError, nearest

BN_MOMENTUM = {"cenet": 0.1}  # published; 0.01 for the others


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `lidartune.backbones.build` takes; None stands for the published value.

    Raises:
        UserError: for an unknown name, or a value out of its range.
    """

    name: str
    num_classes: int = 20
    channels: float = 1.0
    dropout: float | None = None
    bn_momentum: float | None = None
    skip_gradient: bool = True
    inputs: tuple[str, ...] = CANVAS_CHANNELS
    output_stride: int | None = None
    circular: bool = False
    crf: bool = False

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise UserError(
                "Unknown backbone.",
                where="backbone",
                found=repr(self.name),
                wanted=", ".join(NAMES),
                do=nearest(self.name, NAMES),
            )
        _check_numbers(self)
        _check_inputs(self.inputs)
        _check_stride(self.name, self.stride)

    @property
    def stride(self) -> int:
        """By what factor the encoder narrows the canvas."""
        return STRIDES[self.name] if self.output_stride is None else self.output_stride

    @property
    def momentum(self) -> float:
        """Weight of a new batch in the running statistics of batch normalisation."""
        return BN_MOMENTUM.get(self.name, 0.01) if self.bn_momentum is None else self.bn_momentum

    def dropout_or(self, published: float) -> float:
        """The dropout of a place that has this one in the published network."""
        return published if self.dropout is None else self.dropout

    def width_strides(self) -> tuple[int, ...]:
        """Strides (1 or 2) of the encoder's halvings, first one first: a smaller output stride drops the last ones."""
        all_of_them = STRIDES[self.name].bit_length() - 1
        kept = self.stride.bit_length() - 1
        return (2,) * kept + (1,) * (all_of_them - kept)


def _check_numbers(options: Options) -> None:
    if not 0.0 < options.channels <= 16.0:
        raise UserError(
            "The channel factor is out of range.",
            where="channels",
            found=options.channels,
            wanted="a number above 0 and at most 16; 1.0 is the published network",
        )
    if options.num_classes < 2:
        raise UserError(
            "A segmentation needs at least two classes.",
            where="num_classes",
            found=options.num_classes,
            wanted="2 or more, class 0 (ignored) included",
        )
    if options.dropout is not None and not 0.0 <= options.dropout < 1.0:
        raise UserError(
            "The dropout is not a probability.",
            where="dropout",
            found=options.dropout,
            wanted="at least 0 and below 1, or none for the published ones",
        )
    if not 0.0 < options.momentum <= 1.0:
        raise UserError(
            "The momentum of batch normalisation is out of range.",
            where="bn_momentum",
            found=options.bn_momentum,
            wanted="above 0 and at most 1",
        )


def _check_inputs(inputs: tuple[str, ...]) -> None:
    unknown = [name for name in inputs if name not in INPUTS]
    if unknown or not inputs or len(set(inputs)) < len(inputs):
        raise UserError(
            "The network's input channels are not a choice of the canvas's.",
            where="inputs",
            found=list(inputs),
            wanted="one or more of " + ", ".join(INPUTS) + ", each once",
            do=nearest(unknown[0], INPUTS) if unknown else None,
        )


def _check_stride(name: str, stride: int) -> None:
    largest = STRIDES[name]
    allowed = [8] if name == "cenet" else [1 << n for n in range(largest.bit_length())]
    if stride not in allowed:
        raise UserError(
            f"{name} has no such output stride.",
            where="output_stride",
            found=stride,
            wanted="one of " + ", ".join(map(str, allowed)) + f"; {largest} is the published network",
        )

"""A mean teacher: the average of a student's weights, and the classes it is sure of where nobody labelled anything."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from lidartune.training.average import averaged_update, copied_update

Net = TypeVar("Net", bound=nn.Module)


def new_teacher(student: Net) -> Net:
    """A copy of the student that shares no memory with it, needs no gradient and is in evaluation mode."""
    teacher = copy.deepcopy(student).requires_grad_(False)
    return teacher.eval()


def update_teacher(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """After an update of the student: the teacher's parameters become `decay * its own + (1 - decay) * the student's`.

    Buffers are copied, not averaged: the student's running means and variances of batch normalisation are averages
    already, and their counters are whole numbers. Tarvainen and Valpola, "Mean teachers are better role models",
    NeurIPS 2017; `average.ramped_decay` is the decay that they begin with.

    Raises:
        ValueError: their tensors have different names, or the decay is outside [0, 1].
    """
    averaged_update(dict(teacher.named_parameters()), dict(student.named_parameters()), decay)
    copied_update(dict(teacher.named_buffers()), dict(student.named_buffers()))


@torch.no_grad()
def pseudo_labels(logits: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Classes `(B, H, W)` int64 that the network is sure of; 0 where it is not, and in empty pixels.

    As everywhere a prediction is the likeliest of the real classes, never class 0. Its confidence is its probability
    among the real classes alone: a softmax over all logits but class 0's. No number (NaN) is never sure.

    Args:
        logits: `(B, C, H, W)` of the teacher, in evaluation mode.
        mask: `(B, H, W)` bool: the pixels that hold a point.
        threshold: the least confidence of a label, in [0, 1].
    """
    real = logits[:, 1:].float()
    highest, likeliest = real.max(1)
    confidence = (highest - real.logsumexp(1)).exp()
    return torch.where(mask & (confidence >= threshold), likeliest + 1, 0)

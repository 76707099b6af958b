"""Predictions -> points -> figures."""

from lidartune.scoring.confusion import ConfusionMatrix

__all__ = ["ConfusionMatrix"]

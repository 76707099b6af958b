"""TensorBoard events of a study, derived from its committed epochs and written again at any time.

Every run of the plan is a TensorBoard run, its step the epoch; every cell is another one, below `cells/`, its step the
updates since pretraining began. tensorboardX, which others use to write, would import torch.
"""

from lidartune.report.tensorboard.study import StudyWriter, readable_names
from lidartune.report.tensorboard.values import EVENTS_NAME

__all__ = ["EVENTS_NAME", "StudyWriter", "readable_names"]

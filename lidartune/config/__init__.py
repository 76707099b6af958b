"""The study's YAML: read, checked and frozen."""

from lidartune.config.checks import check_splits
from lidartune.config.model import (
    CanvasConfig,
    Grid,
    NetworkConfig,
    Pretraining,
    Resources,
    Splits,
    StudyConfig,
    as_dict,
    from_dict,
)
from lidartune.config.read import load_config
from lidartune.config.space import Range, Section, Values, read_space

__all__ = [
    "CanvasConfig",
    "Grid",
    "NetworkConfig",
    "Pretraining",
    "Range",
    "Resources",
    "Section",
    "Splits",
    "StudyConfig",
    "Values",
    "as_dict",
    "check_splits",
    "from_dict",
    "load_config",
    "read_space",
]

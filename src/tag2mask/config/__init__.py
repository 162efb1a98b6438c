"""The configuration of a run: its sections, YAML files and presets."""

from tag2mask.config.load import (
    PRESETS,
    find_config,
    load_config,
    load_yaml,
    parse_config,
    parse_stored_config,
)
from tag2mask.config.model import CompanionConfig, ModelConfig
from tag2mask.config.schema import (
    Config,
    CrfConfig,
    DataConfig,
    MaskConfig,
    PaperConfig,
    PredictionConfig,
    TrainingConfig,
)

__all__ = [
    "PRESETS",
    "CompanionConfig",
    "Config",
    "CrfConfig",
    "DataConfig",
    "MaskConfig",
    "ModelConfig",
    "PaperConfig",
    "PredictionConfig",
    "TrainingConfig",
    "find_config",
    "load_config",
    "load_yaml",
    "parse_config",
    "parse_stored_config",
]

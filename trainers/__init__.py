"""Training: `ICRLTrainer` and `ICRLConfig`, and the whole checkpoints that make resuming exact."""

from hf_icrl.trainers.checkpoints import checkpoint_fault, last_whole_checkpoint
from hf_icrl.trainers.icrl_config import ICRLConfig
from hf_icrl.trainers.icrl_trainer import ICRLTrainer

__all__ = ["ICRLConfig", "ICRLTrainer", "checkpoint_fault", "last_whole_checkpoint"]

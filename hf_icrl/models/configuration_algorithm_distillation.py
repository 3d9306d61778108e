"""Config of Algorithm Distillation models."""

from huggingface_hub.dataclasses import strict

from .configuration_icrl import ICRLPreTrainedConfig


@strict
class AlgorithmDistillationConfig(ICRLPreTrainedConfig):
    r"""
    Config of an [`AlgorithmDistillationModel`]. All arguments are those of [`ICRLPreTrainedConfig`].

    Example:

    ```python
    >>> from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel

    >>> config = AlgorithmDistillationConfig(
    ...     observation_space={"type": "Discrete", "n": 81},
    ...     action_space={"type": "Discrete", "n": 5},
    ...     observation_grid=[9, 9],
    ...     context_length=200,
    ... )
    >>> model = AlgorithmDistillationModel(config)
    ```
    """

    model_type = "hf_icrl_algorithm_distillation"


__all__ = ["AlgorithmDistillationConfig"]

"""What the configs of all in-context RL models share."""

import difflib
import sys
from dataclasses import fields
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import logging

from .space_specs import parse_space
from .trunk_rules import complete_trunk_config, sliding_window_of

logger = logging.get_logger(__name__)

# What transformers itself passes to a config's constructor besides the declared fields. Anything else is a
# misspelt argument.
_LIBRARY_KEYS = {
    "model_type",
    "torch_dtype",
    "num_labels",
    "name_or_path",
    "_name_or_path",
    "_commit_hash",
    "attn_implementation",
    "experts_implementation",
    "output_attentions",
    "per_layer_config",
    "quantization_config",
}
# What `AutoConfig.from_pretrained` may leave over besides misspelt arguments.
_LOADING_KEYS = {"trust_remote_code", "code_revision", "adapter_kwargs", "_from_auto", "_from_pipeline"}


@strict
class ICRLPreTrainedConfig(PreTrainedConfig):
    r"""
    Base of the configs of in-context RL models: spaces, context, trunk, and how actions are drawn. A checkpoint
    alone can act, so everything that acting needs stands here. Unknown arguments are refused.

    Args:
        observation_space (`dict`):
            The space of the observations: `{"type": "Discrete", "n": 81}`, `{"type": "MultiDiscrete", "nvec": [9, 9]}`
            or `{"type": "Box", "shape": [4], "low": -1.0, "high": 1.0}`. Required.
        action_space (`dict`):
            The space of the actions: a Discrete or a Box. Required.
        context_length (`int`, *optional*, defaults to 200):
            W, the number of environment steps that the model attends over at most; training windows have this length.
        token_layout (`str`, *optional*, defaults to `"fused"`):
            `"fused"`: one token a step (the sum of observation, previous action, previous reward and episode end).
            `"interleaved"`: three tokens a step (previous action with episode end, previous reward, observation), as
            in Algorithm Distillation (Laskin et al., 2022); three times the cost.
        observation_embedding (`str`, *optional*, defaults to `"auto"`):
            `"table"`: one vector a state (Discrete). `"row_col"`: the sum of one vector a factor, for a MultiDiscrete,
            or for a Discrete that counts the cells of `observation_grid` row by row. `"linear"`: a projection (Box).
            `"auto"`: linear for Box, row_col for MultiDiscrete and wherever `observation_grid` is given, else table.
        observation_grid (`list[int]`, *optional*):
            The shape of the grid that a Discrete observation counts through, `[rows, columns]` (or more dimensions).
        observation_mean, observation_std (`list[float]`, *optional*):
            Normalisation of a Box observation, one number an entry (flattened); default 0 and 1.
        reward_mean, reward_std (`float`, *optional*, defaults to 0 and 1):
            Normalisation of rewards before they are embedded.
        action_head (`str`, *optional*, defaults to `"auto"`):
            `"categorical"` for Discrete actions. For Box actions `"gaussian"` (a mean and a standard deviation for
            each number, trained by negative log likelihood) or `"deterministic"` (trained by squared error), both in
            units in which finite bounds are -1 and 1. `"auto"`: categorical or gaussian.
        temperature (`float`, *optional*, defaults to 1.0):
            How actions are drawn: logits are divided by it (categorical), the standard deviation is multiplied by it
            (gaussian). 0 takes the most probable action. Choose it on validation tasks, never on the held-out ones.
        overflow (`str`, *optional*, defaults to `"refill"`):
            What happens to a full context while acting. `"refill"`: the newest `refill_keep` steps are recomputed.
            `"slide"`: the trunk's own sliding-window attention forgets the oldest; only for trunks in which every
            layer has it.
        refill_keep (`int`, *optional*):
            K, the number of steps kept by a refill, 0 <= K < W; default W // 2.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the initial embedding and head weights (the trunk has its own).
        trunk_config (`dict` or `PreTrainedConfig`, *optional*):
            The decoder, e.g. `{"model_type": "qwen3", "hidden_size": 128}`; Llama unless `model_type` says otherwise.
            What a dict leaves out of its size is filled in small (64 wide, 4 layers, 4 heads), not with the size of a
            language model.
        hf_icrl_version (`str`, *optional*):
            The version of hf_icrl that made the config; filled in by itself.
    """

    sub_configs_defaults = {"trunk_config": SubConfigSpec(AutoConfig, model_type="llama")}
    keys_to_ignore_at_inference = ["past_key_values", "hidden_states", "attentions"]

    observation_space: dict[str, Any] | None = None
    action_space: dict[str, Any] | None = None
    context_length: int = 200
    token_layout: Literal["fused", "interleaved"] = "fused"
    observation_embedding: Literal["auto", "table", "row_col", "linear"] = "auto"
    observation_grid: list[int] | None = None
    observation_mean: list[float | int] | None = None
    observation_std: list[float | int] | None = None
    reward_mean: float | int = 0.0
    reward_std: float | int = 1.0
    action_head: Literal["auto", "categorical", "gaussian", "deterministic"] = "auto"
    temperature: float | int = 1.0
    overflow: Literal["refill", "slide"] = "refill"
    refill_keep: int | None = None
    initializer_range: float | int = 0.02
    trunk_config: dict[str, Any] | PreTrainedConfig | None = None
    hf_icrl_version: str | None = None
    # Trainer writes its own `use_cache` argument here; `act` does not read it.
    use_cache: bool = False
    auto_map: dict[str, Any] | None = None

    def __post_init__(self, **kwargs):
        names = {field.name for field in fields(self)}
        for name in kwargs:
            if name not in _LIBRARY_KEYS:
                raise TypeError(f"unknown argument {name!r} of {type(self).__name__}{_nearest(name, names)}")
        self.observation = parse_space(self.observation_space, "observation_space")
        self.trunk_config = complete_trunk_config(self.trunk_config, self.tokens_per_step * self.context_length)
        if self.hf_icrl_version is None:
            # The package is not imported where this file runs as a checkpoint's own code.
            self.hf_icrl_version = getattr(sys.modules.get("hf_icrl"), "__version__", None)
        super().__post_init__(**kwargs)

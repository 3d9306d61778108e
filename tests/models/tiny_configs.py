"""One tiny config of each model. A new model needs an entry here, and a class in test_models.py that names it."""

from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import hf_icrl  # noqa: F401  (registers the models)

# Weights are large, so that outputs vary strongly with inputs.
COMMON = {"context_length": 8, "initializer_range": 0.5}
TRUNK = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.2}
# Without dropout, so that a model in training mode computes the same twice.
TRUNKS = {
    "llama": {},
    "gpt2": {"model_type": "gpt2", "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "qwen3": {"model_type": "qwen3"},
    "mistral": {"model_type": "mistral", "sliding_window": None},
}
TINY = {
    "hf_icrl_algorithm_distillation": {
        "observation_space": {"type": "Discrete", "n": 12},
        "action_space": {"type": "Discrete", "n": 5},
    },
    "hf_icrl_headless_ad": {
        "observation_space": {"type": "Discrete", "n": 12},
        "action_space": {"type": "Discrete", "n": 9},
        "action_dim": 8,
    },
}


def registered_types():
    """The `model_type` of every model that `import hf_icrl` registers."""
    return sorted(name for name in CONFIG_MAPPING.keys() if name.startswith("hf_icrl_"))  # noqa: SIM118


def tiny_config(model_type, trunk="llama", trunk_config=None, **changes):
    """The tiny config of a model, with another trunk (one of TRUNKS), other entries of it, or other arguments."""
    trunk_config = {**TRUNK, **TRUNKS[trunk], **(trunk_config or {})}
    return AutoConfig.for_model(model_type, **{**COMMON, **TINY[model_type], **changes}, trunk_config=trunk_config)

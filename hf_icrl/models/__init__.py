"""Sequence models. Flat: each file imports only its siblings, so that a checkpoint can carry its own code."""


def register_auto_configs():
    """Make `AutoConfig` know our configs. Idempotent; needs `transformers.models.auto.configuration_auto`."""
    from transformers import AutoConfig

    from hf_icrl.models.configuration_algorithm_distillation import AlgorithmDistillationConfig
    from hf_icrl.models.configuration_headless_ad import HeadlessADConfig

    for config_class in (AlgorithmDistillationConfig, HeadlessADConfig):
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        config_class.register_for_auto_class()


def register_auto_classes():
    """Make `AutoConfig` and `AutoModel` know our models, and let our checkpoints carry their code. Idempotent."""
    from transformers import AutoModel

    from hf_icrl.models.modeling_algorithm_distillation import AlgorithmDistillationModel
    from hf_icrl.models.modeling_headless_ad import HeadlessADModel

    register_auto_configs()
    for model_class in (AlgorithmDistillationModel, HeadlessADModel):
        AutoModel.register(model_class.config_class, model_class, exist_ok=True)
        model_class.register_for_auto_class("AutoModel")


# Whoever imports a config file first would otherwise set off the registration (hf_icrl/registration.py) from the middle
# of that file, when its class does not exist yet.
import transformers.models.auto.configuration_auto  # noqa: E402, F401

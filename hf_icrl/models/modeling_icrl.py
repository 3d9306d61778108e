"""What all in-context RL models share: trajectory embedding, trunk, head, and how they are put together."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .acting import ActingMixin
from .action_heads import ACTION_HEADS, UNSUPERVISED
from .configuration_icrl import ICRLPreTrainedConfig
from .space_specs import parse_space
from .trajectory_embedding import TrajectoryEmbedding


@dataclass
class ICRLModelOutput(ModelOutput):
    """Output of an in-context RL model.

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*): given with `labels`.
        logits (`torch.FloatTensor` of shape `(batch, steps, outputs)`): one number an action (Discrete), or the
            numbers of the action head (Box), for every step.
        past_key_values (`Cache`, *optional*): given with `use_cache=True`.
        hidden_states (`tuple`, *optional*): of the trunk, `(batch, tokens, hidden_size)` each; `output_hidden_states`.
        attentions (`tuple`, *optional*): of the trunk, under eager attention only; `output_attentions`.
    """

    loss: torch.FloatTensor | None = None
    logits: torch.FloatTensor | None = None
    past_key_values: object | None = None
    hidden_states: tuple | None = None
    attentions: tuple | None = None


class ICRLPreTrainedModel(ActingMixin, PreTrainedModel):
    """Base of the models: weights and loading from transformers, acting from `ActingMixin`, plumbing from here.

    The trunk is any transformers decoder that takes `inputs_embeds`, `attention_mask` and `position_ids`; its word
    table is dropped. `from_pretrained` of a bare decoder's folder with a `config` of ours loads it as the trunk.
    """

    config: ICRLPreTrainedConfig
    config_class = ICRLPreTrainedConfig
    base_model_prefix = "trunk"
    main_input_name = "observations"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config):
        # Importing AutoModel registers our models (hf_icrl/registration.py), so at the top of this file it would come
        # before they exist.
        from transformers import AutoModel

        super().__init__(config)
        # Attributes may have been set since the config was made.
        config.validate_spaces()
        config.validate_acting()
        self.observation_space = parse_space(config.observation_space, "observation_space")
        self.action_space = parse_space(config.action_space, "action_space")
        self.embedding = TrajectoryEmbedding(config)
        self.trunk = AutoModel.from_config(config.trunk_config, dtype=config.dtype)
        self.trunk.set_input_embeddings(None)
        self.head = ACTION_HEADS[config.resolved_action_head](self.action_space, config.trunk_config.hidden_size)
        if config.dtype is not None:
            self.embedding.to(config.dtype)
            self.head.to(config.dtype)

    def get_input_embeddings(self):
        """The module whose output is the trunk's input; what PEFT and gradient checkpointing hook into."""
        return self.embedding

    def decode(
        self,
        tokens,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        use_cache=None,
        output_hidden_states=None,
        output_attentions=None,
    ):
        """Run tokens through the trunk.

        Args:
            tokens (`torch.Tensor`): (batch, steps * tokens_per_step, hidden_size).
            attention_mask (`torch.Tensor`, *optional*): (batch, steps), with a cache (batch, past + steps), 0 for
                padding; or 4-D in tokens, as transformers' decoders take it.
            position_ids (`torch.Tensor`, *optional*): (batch, steps), in steps.

        Returns:
            the trunk's output, and its hidden states at each step's last token, (batch, steps, hidden_size).
        """
        per_step = self.config.tokens_per_step
        if per_step > 1:
            if attention_mask is not None and attention_mask.dim() == 2:
                attention_mask = attention_mask.repeat_interleave(per_step, dim=1)
            if position_ids is not None:
                inner = torch.arange(per_step, device=position_ids.device)
                position_ids = (position_ids[..., None] * per_step + inner).flatten(1)
        wanted = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
        outputs = self.trunk(
            inputs_embeds=tokens,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=self.config.use_cache if use_cache is None else use_cache,
            return_dict=True,
            **{name: value for name, value in wanted.items() if value is not None},
        )
        return outputs, outputs.last_hidden_state[:, per_step - 1 :: per_step]

    def check_inputs(self, observations, previous_actions, previous_dones, labels=None):
        """Raise `ValueError` for integers that the tables of the model do not have, instead of an IndexError inside.

        Only on the CPU: elsewhere looking at the values would stop the device, and in a compiled graph break it.
        """
        if observations.device.type != "cpu" or torch.compiler.is_compiling():
            return
        if self.observation_space.is_discrete:
            _check_range(observations, self.observation_space, "observations")
        if self.action_space.is_discrete:
            _check_range(previous_actions[previous_dones >= 0], self.action_space, "previous_actions")
            if labels is not None:
                _check_range(labels[labels != UNSUPERVISED], self.action_space, "labels")


def _check_range(values, space, what):
    """`values`: (..., *space.shape) of a discrete space."""
    flat = values.reshape(-1, space.flat_size)
    if len(flat) == 0:
        return
    for i in range(space.flat_size):
        smallest, largest = (int(bound) for bound in torch.aminmax(flat[:, i]))
        low, high = int(space.low.reshape(-1)[i]), int(space.high.reshape(-1)[i])
        if smallest < low or largest > high:
            raise ValueError(
                f"{what} have the value {smallest if smallest < low else largest}, which is outside the space that "
                f"the model was made for: {space.describe()}. Check that the dataset and the model's config belong to "
                "the same environment"
            )

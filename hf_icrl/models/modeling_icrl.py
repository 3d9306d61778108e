"""What all in-context RL models share: trajectory embedding, trunk, head, and how they are put together."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .acting import ActingMixin
from .action_heads import UNSUPERVISED, action_head
from .configuration_icrl import ICRLPreTrainedConfig
from .input_checks import check_integers, check_reward_values, check_times
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
    # The trunk adds its own: see `post_init` of transformers.
    _no_split_modules = ["TrajectoryEmbedding"]
    _skip_keys_device_placement = ["past_key_values"]
    # The module whose output is the trunk's input; what PEFT and gradient checkpointing hook into.
    _input_embed_layer = "embedding"
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
        self.make_parts(config)
        self.trunk = AutoModel.from_config(config.trunk_config, dtype=config.dtype)
        self.trunk.set_input_embeddings(None)
        if config.dtype is not None:
            self.embedding.to(config.dtype)
            self.head.to(config.dtype)

    def make_parts(self, config):
        """The embedding and the head."""
        self.embedding = TrajectoryEmbedding(config)
        self.head = action_head(config, self.action_space)

    def resize_token_embeddings(self, new_num_tokens=None, pad_to_multiple_of=None, mean_resizing=True):
        """Refused: there is no vocabulary; sizes follow from the spaces.

        Raises:
            NotImplementedError: always; says what to do.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no tokens to resize: its tables are as large as observation_space and "
            "action_space say. For other spaces load it with them and ignore_mismatched_sizes=True, which begins the "
            "tables that do not fit afresh, and train it"
        )

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
            position_ids (`torch.Tensor`, *optional*): (batch, steps), in steps; not with
                `position_embedding="env_time"`, where all steps stand at position 0.

        Returns:
            the trunk's output, and its hidden states at each step's last token, (batch, steps, hidden_size).

        Raises:
            ValueError: `position_ids` that would not be read, or an attention implementation that would read equal
                positions as separate sequences.
        """
        per_step = self.config.tokens_per_step
        if self.config.position_embedding == "env_time":
            self.check_equal_positions(position_ids)
            num_steps = tokens.shape[1] // per_step
            position_ids = torch.zeros(1, num_steps, dtype=torch.int64, device=tokens.device)
            if attention_mask is None and past_key_values is None:
                # Without any mask transformers, too, takes positions that do not count up for packed sequences.
                attention_mask = torch.ones(tokens.shape[0], num_steps, dtype=torch.int64, device=tokens.device)
        if per_step > 1:
            if attention_mask is not None and attention_mask.dim() == 2:
                attention_mask = attention_mask.repeat_interleave(per_step, dim=1)
            if position_ids is not None:
                inner = torch.arange(per_step, device=position_ids.device)
                position_ids = (position_ids[..., None] * per_step + inner).flatten(1)
        outputs = self.run_trunk(
            tokens, attention_mask, position_ids, past_key_values, use_cache, output_hidden_states, output_attentions
        )
        return outputs, outputs.last_hidden_state[:, per_step - 1 :: per_step]

    def check_equal_positions(self, position_ids):
        """With `position_embedding="env_time"` all tokens stand at position 0: raise `ValueError` where that fails."""
        if position_ids is not None:
            raise ValueError("position_ids were given, but position_embedding='env_time' has no positions of steps")
        self.check_attention("position_embedding='env_time' makes all positions equal")

    def check_attention(self, why):
        """Raise `ValueError` where the attention implementation reads positions as boundaries of sequences."""
        implementation = str(self.trunk.config._attn_implementation)
        if "flash" in implementation:
            raise ValueError(
                f"the attention implementation {implementation!r} takes positions that do not count up for the "
                f"beginnings of separate sequences, and {why}: use model.set_attn_implementation('sdpa')"
            )

    def run_trunk(
        self,
        tokens,
        attention_mask,
        position_ids,
        past_key_values,
        use_cache,
        output_hidden_states,
        output_attentions,
    ):
        """The trunk's output for tokens (batch, tokens, hidden_size), everything counted in tokens."""
        wanted = {"output_hidden_states": output_hidden_states, "output_attentions": output_attentions}
        return self.trunk(
            inputs_embeds=tokens,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=self.config.use_cache if use_cache is None else use_cache,
            return_dict=True,
            **{name: value for name, value in wanted.items() if value is not None},
        )

    def loss(self, logits, labels, num_items_in_batch=None, loss_weights=None):
        """What the head makes of logits and labels; None without labels. Arguments as in `forward`.

        Raises:
            ValueError: weights without labels (the Trainer's own `label_smoothing_factor` takes the labels away), or
                of another shape than (batch, steps).
        """
        if not self.check_labels(labels, loss_weights):
            return None
        return self.head.loss(logits, labels, num_items_in_batch, loss_weights)

    def check_labels(self, labels, loss_weights):
        """Whether there is a loss to compute; `ValueError` as `loss` says."""
        if labels is None:
            if loss_weights is not None:
                raise ValueError(
                    "loss_weights were given without labels, so nothing is weighted: give both or neither (for label "
                    "smoothing use the config's label_smoothing, not the Trainer's label_smoothing_factor)"
                )
            return False
        if loss_weights is not None and loss_weights.shape != labels.shape[:2]:
            raise ValueError(
                f"loss_weights have shape {tuple(loss_weights.shape)}, expected one a step: {tuple(labels.shape[:2])}"
            )
        return True

    def check_inputs(
        self,
        observations,
        previous_actions,
        previous_rewards,
        previous_dones,
        episode_times=None,
        labels=None,
        previous_observations=None,
    ):
        """Raise `ValueError` for values that the tables of the model do not have, instead of an IndexError inside.

        Whether `episode_times` and `previous_observations` are there is always looked at. Values only on the CPU: elsewhere looking at them would
        stop the device, and in a compiled graph break it.
        """
        timed = self.config.embeds_time
        if timed != (episode_times is not None):
            raise ValueError(
                f"position_embedding={self.config.position_embedding!r} needs episode_times, the steps taken in the "
                "running episode before each step: make the windows with HistoryWindows(..., times=True)"
                if timed
                else "episode_times were given, but position_embedding is 'trunk', which does not read them: make the "
                "windows with HistoryWindows(..., times=False)"
            )
        wanted = self.config.embed_previous_observation
        if wanted != (previous_observations is not None):
            raise ValueError(
                f"embed_previous_observation={wanted}, but previous_observations were {'not ' * wanted}given: make the "
                f"windows with HistoryWindows(..., predecessors={wanted})"
            )
        if observations.device.type != "cpu" or torch.compiler.is_compiling():
            return
        known = previous_dones >= 0
        if self.observation_space.is_discrete:
            check_integers(observations.numpy(), self.observation_space, "observations")
            if wanted:
                check_integers(previous_observations[known].numpy(), self.observation_space, "previous_observations")
        if self.action_space.is_discrete and not self.config.reads_action_sets:
            check_integers(previous_actions[known].numpy(), self.action_space, "previous_actions")
            if labels is not None:
                check_integers(labels[labels != UNSUPERVISED].numpy(), self.action_space, "labels")
        if timed:
            check_times(episode_times.numpy(), self.config.episode_length)
        if self.config.reward_embedding == "table":
            check_reward_values(previous_rewards[known].double().numpy(), self.config.reward_values)

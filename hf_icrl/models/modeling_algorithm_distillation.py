"""Algorithm Distillation (Laskin et al., 2022, arXiv 2210.14215): predict the next action of a learning history."""

from transformers.utils import can_return_tuple

from .configuration_algorithm_distillation import AlgorithmDistillationConfig
from .input_checks import knows_its_arguments
from .modeling_icrl import ICRLModelOutput, ICRLPreTrainedModel


class AlgorithmDistillationModel(ICRLPreTrainedModel):
    """A causal transformer over a learning history of many episodes; trained to predict the action at every step.

    Trained on histories in which a source algorithm gets better, it gets better itself when it acts: see
    `init_rollout` and `act`. AD-eps (Zisman et al., 2023, arXiv 2312.12275) is the same model on noise-curriculum
    histories.

    Args:
        config ([`AlgorithmDistillationConfig`]): the config.
    """

    config: AlgorithmDistillationConfig
    config_class = AlgorithmDistillationConfig

    def __init__(self, config):
        super().__init__(config)
        self.post_init()

    @knows_its_arguments
    @can_return_tuple
    def forward(
        self,
        observations,
        previous_actions,
        previous_rewards,
        previous_dones,
        episode_times=None,
        previous_observations=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        use_cache=None,
        labels=None,
        loss_weights=None,
        num_items_in_batch=None,
        output_hidden_states=None,
        output_attentions=None,
    ):
        r"""
        Args:
            observations (`torch.Tensor` of shape `(batch, steps)` or `(batch, steps, *shape)`):
                What the agent sees before each action; int64 for discrete spaces, float for Box.
            previous_actions (`torch.Tensor` of shape `(batch, steps)` or `(batch, steps, *shape)`):
                The action of the step before.
            previous_rewards (`torch.FloatTensor` of shape `(batch, steps)`):
                What that action earned.
            previous_dones (`torch.LongTensor` of shape `(batch, steps)`):
                1 if that action ended its episode (by termination or truncation), 0 if not, -1 where there is no
                step before (a history's true start): action and reward are then embedded as "none".
            episode_times (`torch.LongTensor` of shape `(batch, steps)`, *optional*):
                Steps taken in the running episode before each action. Required where `position_embedding` has
                env_time in it, an error otherwise.
            previous_observations (`torch.Tensor`, like `observations`, *optional*):
                What the agent saw before its previous action; not read where `previous_dones` is -1. Required with
                `embed_previous_observation=True`, an error otherwise.
            attention_mask (`torch.Tensor`, *optional*):
                `(batch, steps)`, 0 for padding; with a cache `(batch, past + steps)`.
            position_ids (`torch.LongTensor` of shape `(batch, steps)`, *optional*):
                Positions in steps; an error with `position_embedding="env_time"`.
            past_key_values (`Cache`, *optional*), use_cache (`bool`, *optional*):
                As in transformers.
            labels (`torch.Tensor`, shaped like `previous_actions`, *optional*):
                The actions taken, aligned with the observations (nothing is shifted); -100 where unsupervised.
            loss_weights (`torch.FloatTensor` of shape `(batch, steps)`, *optional*):
                What the loss of each step is multiplied by; with mean 1 over the data the loss keeps its scale. (Not
                called `label_weights`: the Trainer takes every argument with "label" in its name for a label that an
                evaluation needs.)
            num_items_in_batch (`int` or `torch.Tensor`, *optional*):
                What the summed loss is divided by (the Trainer counts over gradient accumulation); by default the
                number of supervised labels here.

        Returns:
            [`ICRLModelOutput`].

        Raises:
            ValueError: an observation, action or label outside the config's spaces, a time or a reward that the
                model has no vector for, or an argument that would not be read.
        """
        steps = (observations, previous_actions, previous_rewards, previous_dones, episode_times)
        self.check_inputs(*steps, labels, previous_observations)
        tokens = self.embedding(*steps, previous_observations)
        outputs, hidden_states = self.decode(
            tokens, attention_mask, position_ids, past_key_values, use_cache, output_hidden_states, output_attentions
        )
        logits = self.head(hidden_states)
        return ICRLModelOutput(
            loss=self.loss(logits, labels, num_items_in_batch, loss_weights),
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


__all__ = ["AlgorithmDistillationModel"]

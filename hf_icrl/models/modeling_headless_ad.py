"""Headless-AD (Sinii et al., 2024, arXiv 2312.13327): Algorithm Distillation without a layer for each action."""

import numpy as np
import torch
from transformers.utils import can_return_tuple

from .action_codes import ActionCodes
from .action_heads import UNSUPERVISED
from .configuration_headless_ad import HeadlessADConfig
from .contrastive_head import ContrastiveHead
from .headless_embedding import HeadlessEmbedding
from .input_checks import knows_its_arguments, to_numpy
from .modeling_icrl import ICRLModelOutput, ICRLPreTrainedModel
from .prompt_attention import bounded_prompt_mask
from .space_specs import parse_space

# Windows bring 63-bit seeds of their own; rollouts have theirs.
_WINDOW_SEED = 0


class HeadlessADModel(ICRLPreTrainedModel):
    """A causal transformer over learning histories that knows actions only by random vectors.

    Every sequence has fresh vectors, so nothing about an action can be learned but what the sequence itself shows. It
    begins with a prompt, the vectors of the available actions; the model predicts a vector, and the most similar one is
    the action. So it acts with action sets of any size, order and meaning.

    The prompt's tokens all stand at position 0 and the steps from position 1 on, so how many actions there are moves
    nothing else. (The published code counts positions through the prompt.) Numbering the actions otherwise numbers the
    logits otherwise, exactly, without a prompt, in a trunk of one layer, and as long as the available actions keep
    their order among themselves (so also beside any number of actions that are not available). In a deeper trunk a
    token of the prompt sees those before it, and from the second layer on their order makes a difference, which only
    training teaches the model to pass over.

    Args:
        config ([`HeadlessADConfig`]): the config.
    """

    config: HeadlessADConfig
    config_class = HeadlessADConfig
    _no_split_modules = ["HeadlessEmbedding"]

    def __init__(self, config):
        super().__init__(config)
        self.post_init()

    def make_parts(self, config):
        """The embedding and the head."""
        self.embedding = HeadlessEmbedding(config)
        self.head = ContrastiveHead(config.trunk_config.hidden_size, config)
        self.codes = ActionCodes(config.action_embedding, config.action_dim)

    @knows_its_arguments
    @can_return_tuple
    def forward(
        self,
        observations,
        previous_actions,
        previous_rewards,
        previous_dones,
        available_actions=None,
        action_seeds=None,
        action_embeddings=None,
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
            observations, previous_actions, previous_rewards, previous_dones, episode_times, previous_observations,
            attention_mask, use_cache, labels, loss_weights, num_items_in_batch:
                As in [`AlgorithmDistillationModel`].
            available_actions (`torch.BoolTensor` of shape `(batch, actions)`, *optional*):
                Which actions each sequence has; default all.
            action_seeds (`torch.LongTensor` of shape `(batch,)`, *optional*):
                What the vectors of the actions are drawn from, >= 0: `HistoryWindows(..., num_actions=...)` gives one
                a window. Either these or `action_embeddings` are needed.
            action_embeddings (`torch.FloatTensor` of shape `(batch, actions, action_dim)`, *optional*):
                The vectors themselves.
            position_ids (`torch.LongTensor` of shape `(batch, steps)`, *optional*):
                Positions in steps, the prompt not counted; with a cache that holds something they are needed.
            past_key_values (`Cache`, *optional*):
                Where it holds something, it begins with the prompt, and these are further steps.

        Returns:
            [`ICRLModelOutput`]; logits have shape `(batch, steps, actions)`, minus infinity for actions that are not
            available.

        Raises:
            ValueError: an observation, action or label outside the spaces, a label that is not available, vectors of
                another width, neither or both of seeds and vectors, or an argument that would not be read.
        """
        # Not the model's own device: a replica of torch's DataParallel has no parameters to ask.
        vectors = self._vectors(
            available_actions, action_seeds, action_embeddings, len(previous_dones), previous_dones.device
        )
        steps = (observations, previous_actions, previous_rewards, previous_dones)
        self._check_actions(previous_actions, previous_dones, available_actions, labels, vectors)
        self.check_inputs(*steps, episode_times, labels, previous_observations)
        begins = past_key_values is None or past_key_values.get_seq_length() == 0
        prompt, num_prompt = None, self._prompt_lengths(available_actions, vectors)
        if self.config.action_prompt and begins:
            prompt = num_prompt
        tokens = self.embedding(*steps, vectors, available_actions, episode_times, previous_observations, prompt)
        num_steps = previous_dones.shape[1]
        positions = self._positions(prompt, tokens, num_steps, position_ids, begins)
        mask = self._mask(prompt, tokens, attention_mask, past_key_values, num_steps)
        capacity = self.config.prompt_capacity
        # A size, not a value: what is compiled for small sets does not ask again.
        if capacity is not None and vectors.shape[1] > capacity:
            self._check_additive_masks()
            past = 0 if past_key_values is None else past_key_values.get_seq_length()
            device, dtype = tokens.device, self.trunk.dtype
            if torch.is_autocast_enabled(device.type):
                dtype = torch.get_autocast_dtype(device.type)
            mask = bounded_prompt_mask(mask, num_prompt, capacity, tokens.shape[1], past, dtype)
        outputs = self.run_trunk(
            tokens, mask, positions, past_key_values, use_cache, output_hidden_states, output_attentions
        )
        hidden_states = outputs.last_hidden_state
        per_step = self.config.tokens_per_step
        if prompt is None:
            hidden_states = hidden_states[:, per_step - 1 :: per_step]
        else:
            # With a device map the trunk may end on another device than it began on.
            last = (torch.arange(num_steps, device=hidden_states.device) + 1) * per_step - 1
            place = prompt.to(last.device)[:, None] + last
            hidden_states = hidden_states.gather(1, place[..., None].expand(-1, -1, hidden_states.shape[-1]))
        predictions = self.head(hidden_states)
        vectors = vectors.to(predictions.device)
        available_actions = None if available_actions is None else available_actions.to(predictions.device)
        logits = self.head.logits(predictions, vectors, available_actions)
        loss = None
        if self.check_labels(labels, loss_weights):
            loss = self.head.loss(predictions, vectors, logits, labels, num_items_in_batch, loss_weights)
        return ICRLModelOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def _vectors(self, available, seeds, vectors, num_rows, device):
        """The vectors of the actions, float32 (batch, actions, action_dim), on this device."""
        if (seeds is None) == (vectors is None):
            raise ValueError(
                f"{'neither' if seeds is None else 'both'} of action_seeds and action_embeddings were given: give one "
                "of them. Windows bring seeds along with HistoryWindows(..., num_actions=...)"
            )
        if available is not None and (
            available.dtype != torch.bool or available.dim() != 2 or len(available) != num_rows or 0 in available.shape
        ):
            raise ValueError(
                f"available_actions are of type {available.dtype} and shape {tuple(available.shape)}, expected bool "
                f"({num_rows}, actions), true for what is available"
            )
        if vectors is not None:
            if vectors.dim() != 3 or len(vectors) != num_rows or vectors.shape[2] != self.config.action_dim:
                raise ValueError(
                    f"action_embeddings have shape {tuple(vectors.shape)}, expected ({num_rows}, actions, action_dim="
                    f"{self.config.action_dim})"
                )
            if available is not None and available.shape != vectors.shape[:2]:
                raise ValueError(
                    f"available_actions have shape {tuple(available.shape)}, but action_embeddings are for "
                    f"{tuple(vectors.shape[:2])} (batch, actions)"
                )
            return vectors
        number = self.action_space.sizes[0] if available is None else available.shape[1]
        return self._draw_vectors(seeds, num_rows, number, device)

    @torch.compiler.disable
    def _draw_vectors(self, seeds, num_rows, num_actions, device):
        """The vectors of a window each, from its seed. NumPy's, whose 64-bit arithmetic torch.compile cannot follow."""
        ids = to_numpy(seeds)
        if ids.shape != (num_rows,) or ids.dtype.kind not in "iu":
            raise ValueError(
                f"action_seeds are of type {ids.dtype} and shape {ids.shape}, expected one integer a row: ({num_rows},)"
            )
        shared = self.config.action_draw == "batch"
        drawn = self.codes.draw(_WINDOW_SEED, ids[:1] if shared else ids, num_actions)
        return torch.from_numpy(drawn).to(device).expand(num_rows, -1, -1)

    def _prompt_lengths(self, available, vectors):
        """How many tokens each row's prompt has, int64 (batch,)."""
        if available is None:
            return torch.full(vectors.shape[:1], vectors.shape[1], device=vectors.device)
        return available.sum(1)

    def _check_additive_masks(self):
        """Raise `ValueError` where the attention implementation cannot weigh single tokens."""
        implementation = self.trunk.config._attn_implementation
        if implementation not in ("sdpa", "eager"):
            raise ValueError(
                f"the attention implementation {implementation!r} takes no additive mask, which prompt_capacity="
                f"{self.config.prompt_capacity} needs for more actions: use model.set_attn_implementation('sdpa'), or "
                "prompt_capacity=None"
            )

    def _check_actions(self, previous_actions, previous_dones, available, labels, vectors):
        """Raise `ValueError` for actions that there are no vectors of, and for labels that are not available.

        Only on the CPU, as `check_inputs`. A previous action may have gone since.
        """
        if previous_actions.device.type != "cpu" or torch.compiler.is_compiling():
            return
        number = vectors.shape[1]
        taken = previous_actions[previous_dones >= 0]
        chosen = None if labels is None else labels[labels != UNSUPERVISED]
        for what, values in (("previous_actions", taken), ("labels", chosen)):
            if values is not None and values.numel() and not 0 <= int(values.min()) <= int(values.max()) < number:
                wrong = values[(values < 0) | (values >= number)][0]
                raise ValueError(f"{what} have the value {wrong}, but there are {number} actions, 0 to {number - 1}")
        if available is None:
            return
        empty = (~available.any(1)).nonzero()
        if len(empty):
            raise ValueError(f"row {int(empty[0])} has no available action: give each row at least one")
        if labels is not None:
            seen = labels != UNSUPERVISED
            wrong = (seen & ~available.gather(1, labels.masked_fill(~seen, 0))).nonzero()
            if len(wrong):
                row, step = wrong[0].tolist()
                raise ValueError(
                    f"the label of row {row} at step {step} is {int(labels[row, step])}, which is not available there; "
                    f"available are {available[row].nonzero().flatten().tolist()}"
                )

    def _positions(self, prompt, tokens, num_steps, position_ids, begins):
        """Positions of the tokens, int64 (batch or 1, tokens): 0 in the prompt, then 1, 2, ..."""
        if self.config.action_prompt and len(tokens) == 1:
            # Of one row alone transformers asks whether its positions are those of several packed sequences.
            self.check_attention("the prompt of the actions stands at one position (in a batch of one row)")
        device, per_step = tokens.device, self.config.tokens_per_step
        if self.config.position_embedding == "env_time":
            self.check_equal_positions(position_ids)
            return torch.zeros(1, tokens.shape[1], dtype=torch.int64, device=device)
        first = int(self.config.action_prompt)
        if position_ids is None:
            if not self.config.action_prompt:
                return None
            if not begins:
                raise ValueError(
                    "position_ids are missing: with a cache that holds steps, say where these steps stand"
                )
            places = torch.arange(tokens.shape[1], device=device) - prompt[:, None] + first
            # What pads shorter prompts at the end must not stand beyond a table of positions either.
            return places.clamp(0, first + num_steps * per_step - 1)
        inner = torch.arange(per_step, device=device)
        places = (first + position_ids[..., None] * per_step + inner).flatten(1)
        if prompt is None:
            return places
        places = places.expand(len(tokens), -1)
        step = torch.arange(tokens.shape[1], device=device) - prompt[:, None]
        of_step = places.gather(1, step.clamp(0, max(num_steps * per_step - 1, 0))) if num_steps else step
        return torch.where(step < 0, 0, of_step)

    def _mask(self, prompt, tokens, attention_mask, past_key_values, num_steps):
        """The mask of the tokens for one of the steps; a 4-D one is taken as it is."""
        if attention_mask is None or attention_mask.dim() == 4:
            if attention_mask is None and past_key_values is None:
                # Without any mask transformers takes positions that do not count up for packed sequences.
                return torch.ones(tokens.shape[:2], dtype=torch.int64, device=tokens.device)
            return attention_mask
        if past_key_values is not None:
            raise ValueError("with a cache, attention_mask must be 4-D, in tokens (init_rollout and act make it)")
        if attention_mask.shape[1] != num_steps:
            raise ValueError(f"attention_mask has {attention_mask.shape[1]} steps, the inputs have {num_steps}")
        of_steps = attention_mask.repeat_interleave(self.config.tokens_per_step, dim=1)
        if prompt is None:
            return of_steps
        step = torch.arange(tokens.shape[1], device=tokens.device) - prompt[:, None]
        return torch.where(step < 0, 1, of_steps.gather(1, step.clamp(0, of_steps.shape[1] - 1)))

    # ---- Acting ----

    def init_rollout(
        self,
        batch_size,
        seed=0,
        row_ids=None,
        temperature=None,
        overflow=None,
        refill_keep=None,
        available_actions=None,
        action_embeddings=None,
    ):
        """A fresh state; see [`AlgorithmDistillationModel`]. What is different:

        Args:
            available_actions (*optional*): bool (batch_size, actions), with **any** number of actions; default all of
                `config.action_space`. It fixes how many there will ever be in this rollout.
            action_embeddings (*optional*): float (actions, action_dim) or (batch_size, actions, action_dim): what
                stands for the actions. By default drawn, keyed by (seed, row id), and kept for the whole rollout; a row
                that restarts under a new id gets new ones.

        Raises:
            ValueError: also for vectors of another width or number.
        """
        number = self.action_space.sizes[0]
        if available_actions is not None:
            available_actions = to_numpy(available_actions)
            if available_actions.ndim == 2 and available_actions.shape[1]:
                number = available_actions.shape[1]
        vectors = {"codes": self.codes}
        if action_embeddings is not None:
            given = np.asarray(to_numpy(action_embeddings), np.float32)
            if available_actions is None and given.ndim >= 2:
                number = given.shape[-2]
            wanted = (number, self.config.action_dim)
            if (
                given.ndim not in (2, 3)
                or given.shape[-2:] != wanted
                or (given.ndim == 3 and len(given) != batch_size)
            ):
                raise ValueError(
                    f"action_embeddings have shape {given.shape}, expected {wanted} (actions, action_dim) or "
                    f"{(batch_size, *wanted)}"
                )
            if not np.isfinite(given).all():
                raise ValueError("action_embeddings must be finite")
            vectors = {"action_embeddings": np.broadcast_to(given, (batch_size, *wanted)).copy()}
        return self._new_rollout(
            batch_size,
            seed,
            row_ids,
            temperature,
            overflow,
            refill_keep,
            available_actions,
            parse_space({"type": "Discrete", "n": number}, "action_space"),
            prompt_slots=number if self.config.action_prompt else 0,
            **vectors,
        )

    def _action_sets_of(self, state_dict):
        given = state_dict["metadata"].get("vectors") == "given"
        vectors = {"action_embeddings": state_dict["action_embeddings"]} if given else {}
        return super()._action_sets_of(state_dict) | vectors

    def _action_inputs(self, state, rows):
        return state.action_tensors(rows, self.input_device)


__all__ = ["HeadlessADModel"]

"""Acting: a trained model in a loop with environments, row by row independent, with a key-value cache."""

import contextlib

import numpy as np
import torch

from .configuration_icrl import check_refill_keep, check_temperature
from .input_checks import to_numpy
from .rollout_checks import check_loaded, check_metadata
from .rollout_state import FORMAT, RolloutState, checked_dones, checked_row_ids, new_cache
from .trunk_rules import sliding_window_of

# Sliding-window rows take a given history in chunks of this many steps.
_CHUNK_STEPS = 16


class ActingMixin:
    """`init_rollout`, `act`, `observe` and `load_rollout` for a model of the family.

    The model gives `forward` (the inputs of a step, `past_key_values`, ...), `config`, `trunk`, `head` and the parsed
    `observation_space` and `action_space`.
    """

    @property
    def input_device(self):
        """Where inputs go. Weights that accelerate offloads are on no device until they are used, but its hook knows."""
        device = getattr(getattr(self, "_hf_hook", None), "execution_device", None)
        return self.device if device is None else torch.device(device)

    def init_rollout(
        self,
        batch_size,
        seed=0,
        row_ids=None,
        temperature=None,
        overflow=None,
        refill_keep=None,
        available_actions=None,
    ):
        """A fresh state for acting in `batch_size` environments.

        Args:
            batch_size (`int`): rows.
            seed (`int`): of the drawing of actions, 0 <= seed < 2**64.
            row_ids (*optional*): one integer >= 0 a row, default 0, 1, 2, ...; the actions of a row depend only on
                (seed, row id), on how many steps the row has had under this id (`state.draws`, which a restart does
                not set back) and on what it has seen since its last restart, never on its neighbours or its place.
            temperature, overflow, refill_keep (*optional*): override the config's.
            available_actions (*optional*): bool (batch_size, actions), for Discrete: which actions each row's
                environment has (gymnasium's `info["action_mask"]`); no other one is drawn. By default all.
                `state.set_available_actions` changes it later.

        Returns:
            [`RolloutState`].

        Raises:
            ValueError: an argument out of its range, an overflow policy that the trunk cannot follow, or a row without
                available actions.
        """
        return self._new_rollout(
            batch_size, seed, row_ids, temperature, overflow, refill_keep, available_actions, self.action_space
        )

    def _new_rollout(
        self,
        batch_size,
        seed,
        row_ids,
        temperature,
        overflow,
        refill_keep,
        available_actions,
        action_space,
        prompt_slots=0,
        **action_vectors,
    ):
        """`init_rollout` for a given action space, with room for a prompt; `action_vectors` go to the state."""
        config = self.config
        overflow = config.overflow if overflow is None else overflow
        temperature = config.temperature if temperature is None else temperature
        if refill_keep is None:
            refill_keep = config.resolved_refill_keep
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}; it must be at least 1")
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed={seed}; it must be at least 0 and less than 2**64")
        if overflow not in ("refill", "slide"):
            raise ValueError(f"overflow={overflow!r}; it must be 'refill' or 'slide'")
        check_temperature(temperature)
        check_refill_keep(refill_keep, config.context_length)
        config.check_trunk(overflow)
        implementation = self.trunk.config._attn_implementation
        if implementation not in ("sdpa", "eager"):
            raise ValueError(
                f"the trunk's attention implementation is {implementation!r}, which cannot mask rows of different "
                "lengths; call model.set_attn_implementation('sdpa') before acting"
            )
        ids = np.arange(batch_size) if row_ids is None else checked_row_ids(row_ids, batch_size)
        return RolloutState(
            batch_size=int(batch_size),
            seed=int(seed),
            row_ids=ids.astype(np.int64),
            temperature=temperature,
            overflow=overflow,
            refill_keep=int(refill_keep),
            context_length=config.context_length,
            spaces=(self.observation_space, action_space),
            available_actions=available_actions,
            prompts=prompt_slots > 0,
            **action_vectors,
            keeps_observations=config.embed_previous_observation,
            episode_length=config.episode_length if config.embeds_time else None,
            reward_values=config.reward_values if config.reward_embedding == "table" else None,
            cache=new_cache(
                config.trunk_config,
                batch_size,
                prompt_slots + config.context_length * config.tokens_per_step,
                sliding_window_of(config.trunk_config) if overflow == "slide" else None,
                _CHUNK_STEPS * config.tokens_per_step,
            ),
        )

    def load_rollout(self, state_dict):
        """The state that `state.state_dict()` described; acting goes on with the same bits.

        Raises:
            ValueError: it belongs to a model with another context, trunk or space, or is not whole. Nothing is allocated
                by a number of rows that the tensors of the state do not have.
        """
        metadata = state_dict.get("metadata")
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            raise ValueError("this is no rollout state of a known format: load what state.state_dict() returned")
        check_metadata(metadata, state_dict.get("row_ids"))
        for name, held in (("available_actions", "action_sets"), ("action_embeddings", "vectors")):
            if metadata.get(held) and name not in state_dict:
                raise ValueError(f"the rollout state has no tensor {name!r}: it is not a whole state_dict()")
        state = self.init_rollout(
            metadata["batch_size"],
            seed=int(metadata["seed"]),
            temperature=metadata["temperature"],
            overflow=metadata["overflow"],
            refill_keep=metadata["refill_keep"],
            **self._action_sets_of(state_dict),
        )
        mine = state.metadata()
        for name, value in mine.items():
            if metadata.get(name) != value:
                raise ValueError(
                    f"the rollout state has {name}={metadata.get(name)!r}, this model {value!r}: load it with the "
                    "model that made it"
                )
        state.load_state_dict(state_dict, self.input_device)
        check_loaded(state)
        return state

    def _action_sets_of(self, state_dict):
        """The arguments of `init_rollout` that say which actions a saved state has."""
        return {"available_actions": state_dict.get("available_actions")}

    @torch.no_grad()
    def act(self, state, observations, rewards=None, dones=None):
        """Choose an action for every row.

        Args:
            state ([`RolloutState`]): changed in place (not at all if the input is refused).
            observations: (rows, ...), NumPy or tensor: what each row's environment shows now; after an autoreset the
                first observation of the next episode.
            rewards, dones: (rows,), what each row's last action earned, and whether it ended the episode, by
                termination or truncation. Left out at the first step (and after `observe`, which knows them); the
                values of rows that begin a history are not read.
        Returns:
            `np.ndarray`: int64 (rows,) for Discrete, float32 (rows, *shape), clipped, for Box.

        Raises:
            ValueError: an observation outside the space of the model (value and space are named), wrong shapes,
                missing rewards, a reward that is not in the model's reward table, an episode that goes on longer
                than a model with `position_embedding="env_time"` has times for, or outputs that are not finite.
        """
        inputs = state.next_inputs(to_numpy(observations), rewards, dones)
        rows = np.arange(state.batch_size)
        with self._acting(state):
            self._make_room(state)
            lengths = state.cache.lengths.copy()
            try:
                logits = self._append(state, inputs)
                drawn = self.head.draw(
                    logits, state.temperature, state.seed, state.row_ids, state.draws, state.available_actions
                )
            except BaseException:
                # What was written lies beyond what counts, and the next step is written over it.
                state.cache.lengths = lengths
                raise
        actions, state.entropies = drawn
        state.remember(rows, inputs)
        state.last_actions = actions.copy()
        state.outcome_known[:] = False
        return actions

    @torch.no_grad()
    def observe(self, state, observations, actions, rewards, dones, rows=None):
        """Append a given history to the context, as if the model had acted it; then acting goes on from there.

        Args:
            state ([`RolloutState`]): changed in place (not at all if the input is refused).
            observations: (rows, T, ...): what was shown at each step.
            actions: (rows, T) or (rows, T, *shape): the actions taken.
            rewards, dones: (rows, T): what each action earned, and whether it ended the episode.
            rows (*optional*): the rows that these histories are given to, default all.

        The last reward and done are remembered: the next `act` takes the observations alone. Rows of different
        lengths are several calls.

        Raises:
            ValueError: values outside the spaces (or, as in `act`, unknown rewards and times), an action that its row
                does not have available, wrong shapes, or a row that has acted and not yet been told what its last
                action earned.
        """
        rows = np.arange(state.batch_size) if rows is None else state.checked_rows(rows)
        dones = to_numpy(dones)
        if dones.ndim != 2 or len(dones) != len(rows):
            raise ValueError(f"dones have shape {dones.shape}, expected ({len(rows)}, steps)")
        leading = (len(rows), dones.shape[1])
        if 0 in leading:
            return
        observations = state.observation_space.checked(to_numpy(observations), "observations", leading)
        actions = state.action_space.checked(to_numpy(actions), "actions", leading)
        state.check_chosen(rows, actions)
        rewards, dones = state.checked_rewards(rewards, leading), checked_dones(dones, leading)
        pending = rows[(state.steps[rows] > 0) & ~state.outcome_known[rows]]
        if pending.size:
            raise ValueError(
                f"row {pending[0]} has acted, and what that action earned is not known: give it a history before it "
                "acts, or restart it first"
            )

        def previous(last, values):
            return np.concatenate([last[rows, None], values[:, :-1]], axis=1)

        inputs = state.with_predecessor(
            rows,
            observations,
            previous(state.last_actions, actions),
            previous(state.last_rewards, rewards),
            previous(state.last_dones, dones),
        )
        with self._acting(state):
            if state.overflow == "slide":
                for i in range(0, leading[1], _CHUNK_STEPS):
                    chunk = {name: value[:, i : i + _CHUNK_STEPS] for name, value in inputs.items()}
                    self._append(state, chunk, rows)
                state.remember(rows, inputs)
            else:
                state.remember(rows, inputs)
                self._fill(state, rows, self._steps_in_context(state, rows))
        state.last_actions[rows] = actions[:, -1]
        state.last_rewards[rows] = rewards[:, -1]
        state.last_dones[rows] = dones[:, -1]
        state.outcome_known[rows] = True

    def _make_room(self, state):
        """Before a step: refill contexts that are full, and write prompts that are missing or of another action set."""
        held = state.step_tokens() // self.config.tokens_per_step
        counts, rewrite = held, state.prompt_stale
        if state.overflow == "refill":
            full = held >= state.context_length
            counts, rewrite = np.where(full, state.refill_keep, held), rewrite | full
        rows = np.flatnonzero(rewrite)
        if rows.size:
            self._fill(state, rows, counts[rows])

    def _steps_in_context(self, state, rows):
        """How many steps a refilled context holds right after step t = steps - 1: t - s(t) + 1."""
        newest, window, keep = state.steps[rows] - 1, state.context_length, state.refill_keep
        start = np.where(newest < window, 0, (window - keep) * ((newest - window) // (window - keep) + 1))
        return newest - start + 1

    def _fill(self, state, rows, counts):
        """Recompute the context of these rows from their prompts and newest `counts` steps, in one pass."""
        longest, per_step = int(counts.max()), self.config.tokens_per_step
        prompts = state.prompt_lengths(rows)
        # Until it is written: if the pass fails (memory may run out), the next `act` writes it anew.
        state.prompt_tokens[rows], state.prompt_stale[rows] = prompts, True
        num_tokens = int(prompts.max()) + longest * per_step
        state.cache.plan_fill(rows, prompts + counts * per_step, num_tokens, self.input_device)
        if num_tokens:
            self._forward(state, rows, state.newest(rows, counts))
        state.prompt_stale[rows] = False

    def _append(self, state, inputs, rows=None):
        """Run new steps of all rows, or of `rows`, through the model and the cache: logits of the last step."""
        cache, num_steps, per_step = state.cache, inputs["previous_dones"].shape[1], self.config.tokens_per_step
        before = cache.lengths if rows is None else cache.lengths[rows]
        eager = self.trunk.config._attn_implementation == "eager"
        mask = cache.plan_append(
            num_steps * per_step, self.input_device, rows=rows, additive_dtype=self.trunk.dtype if eager else None
        )
        positions = None
        steps = before - (state.prompt_tokens if rows is None else state.prompt_tokens[rows])
        # With a prompt a position does not follow from how many tokens there are.
        told = state.prompts or (before != before[0]).any()
        if self.config.position_embedding != "env_time" and told:
            positions = torch.from_numpy(steps[:, None] // per_step + np.arange(num_steps)).to(self.input_device)
        output = self._forward(state, rows, inputs, attention_mask=mask, position_ids=positions)
        return output.logits[:, -1].float().cpu().numpy()

    def _forward(self, state, rows, inputs, attention_mask=None, position_ids=None):
        # Through __call__, so that the hooks of accelerate and FSDP run.
        return self(
            **{
                name: torch.from_numpy(np.ascontiguousarray(value)).to(self.input_device)
                for name, value in inputs.items()
            },
            **self._action_inputs(state, rows),
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=state.cache,
            use_cache=True,
        )

    def _action_inputs(self, state, rows):
        """What `forward` is told about the actions of `rows` (all, if None), tensors by name."""
        return {}

    @contextlib.contextmanager
    def _acting(self, state):
        """Without dropout, unless the config wants it; modules that were training are put back to it."""
        wanted = self.config.act_with_dropout
        changed = [module for module in self.modules() if module.training != wanted]
        with self._own_random_numbers(state) if wanted else contextlib.nullcontext():
            for module in changed:
                module.training = wanted
            try:
                yield
            finally:
                for module in changed:
                    module.training = not wanted

    @contextlib.contextmanager
    def _own_random_numbers(self, state):
        """Dropout draws from torch's global generators: they are set for this step, and then put back."""
        on_gpu = self.input_device.type == "cuda"
        with torch.random.fork_rng(devices=[self.input_device] if on_gpu else []):
            seed = (state.seed * 1_000_003 + int(state.draws.sum())) % 2**63
            # Not torch.manual_seed, which sets the generators of all devices, those that are not put back too.
            torch.random.default_generator.manual_seed(seed)
            if on_gpu:
                with torch.cuda.device(self.input_device):
                    torch.cuda.manual_seed(seed)
            yield

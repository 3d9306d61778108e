"""Which actions each row of a rollout has, and what stands for them where a model knows actions by vectors."""

import numpy as np
import torch

from .input_checks import to_numpy


class ActionSetsMixin:
    """The part of [`RolloutState`] about its actions; see there. It reads `batch_size`, `seed`, `row_ids`,
    `action_space` and `cache`."""

    def begin_action_sets(self, available_actions, codes, action_embeddings, prompts):
        """Set up the sets of a fresh rollout.

        Args:
            available_actions (*optional*): bool (rows, actions), default all.
            codes (`ActionCodes`, *optional*): draws the vectors of a row, now and when it gets a new id.
            action_embeddings (`np.ndarray`, *optional*): float32 (rows, actions, d), given vectors, instead of `codes`.
            prompts (`bool`): whether the cache of a row begins with its action set.
        """
        self.codes, self.prompts = codes, prompts
        # How many tokens of its set lie in a row's cache, and whether they are those of another set or missing.
        self.prompt_tokens = np.zeros(self.batch_size, np.int64)
        self.prompt_stale = np.full(self.batch_size, prompts)
        self._available_actions = None
        if available_actions is not None:
            self._available_actions = self.checked_available(available_actions, self.batch_size)
            self._available_actions.flags.writeable = False
        self.action_embeddings = action_embeddings
        if codes is not None:
            self.action_embeddings = codes.draw(self.seed, self.row_ids, self.action_space.sizes[0])
        self._tensors = None

    @property
    def available_actions(self):
        """bool (rows, actions), read-only: the actions that each row may choose among; None: all of them."""
        return self._available_actions

    @available_actions.setter
    def available_actions(self, mask):
        raise AttributeError(
            "an action set that changes must be announced: state.set_available_actions(mask), which tells the prompt, too"
        )

    def restart_action_sets(self, rows, ids):
        """These rows begin a new history, under new `ids` unless None: new vectors for those, and a prompt to write."""
        self.prompt_tokens[rows] = 0
        self.prompt_stale[rows] = self.prompts
        if ids is not None and self.codes is not None and len(rows):
            self.action_embeddings[rows] = self.codes.draw(self.seed, ids, self.action_space.sizes[0])
            self._tensors = None

    def set_available_actions(self, mask, rows=None):
        """From the next step on these rows choose among other actions; what they have seen stays in their context.

        Which actions there are in all, and what stands for each of them, is fixed when the rollout begins. A model with
        an action prompt reads the new set, and its context again, in one pass before it acts.

        Args:
            mask: bool (len(rows), actions), at least one a row.
            rows (*optional*): row indices, or a boolean array (batch_size,); default all.

        Raises:
            ValueError: no Discrete actions, another number of them than the rollout began with, or an empty set.
        """
        rows = np.arange(self.batch_size) if rows is None else self.checked_rows(rows)
        mask = self.checked_available(mask, len(rows))
        if self.available_actions is None:
            if mask.all():
                return
            sets = np.ones((self.batch_size, self.action_space.sizes[0]), bool)
        else:
            sets = self.available_actions.copy()
        changed = (sets[rows] != mask).any(axis=1)
        sets[rows] = mask
        # Written to by nobody else: a set that changes must be announced here, where the prompt is told.
        sets.flags.writeable = False
        self._available_actions, self._tensors = sets, None
        if self.prompts:
            self.prompt_stale[rows[changed]] = True

    def checked_available(self, mask, num_rows):
        """A mask of available actions as a new bool array (num_rows, actions)."""
        space = self.action_space
        try:
            mask = to_numpy(mask)
        except ValueError:
            raise ValueError(
                f"available_actions has rows of different lengths; give each row {space.sizes[0]} entries, true or false"
            ) from None
        if space.kind != "Discrete":
            raise ValueError(f"available actions are of Discrete spaces, but the model acts in {space.describe()}")
        if mask.ndim != 2 or len(mask) != num_rows:
            raise ValueError(
                f"available_actions has shape {mask.shape}, expected ({num_rows}, {space.sizes[0]}): a row of true or "
                "false for each row of the rollout, an entry for each action"
            )
        if mask.shape[1] != space.sizes[0]:
            raise ValueError(
                f"available_actions has {mask.shape[1]} actions, but there are {space.sizes[0]}: it is a mask, not a list "
                "of actions. Name all that there will ever be when the rollout begins, and mark as false those that are "
                "not there now"
            )
        odd = mask[(mask != 0) & (mask != 1)]
        if odd.size:
            raise ValueError(f"available_actions must hold true or false, got {odd[0]}")
        mask = mask.astype(bool)
        lacking = np.flatnonzero(~mask.any(axis=1))
        if lacking.size:
            raise ValueError(f"row {lacking[0]} has no available action: give each row at least one")
        return mask

    def check_chosen(self, rows, actions):
        """Raise `ValueError` if one of `actions`, int64 (len(rows), T), is not available to its row."""
        if self.available_actions is None:
            return
        wrong = np.argwhere(~np.take_along_axis(self.available_actions[rows], actions, axis=1))
        if len(wrong):
            row, step = wrong[0]
            raise ValueError(
                f"the action {actions[row, step]} at step {step} is not available to row {rows[row]}, which has the "
                f"actions {np.flatnonzero(self.available_actions[rows[row]]).tolist()}: tell it what it had with "
                "set_available_actions before it is given this history"
            )

    def prompt_lengths(self, rows):
        """Tokens of the prompt of these rows, one for each available action: int64 (len(rows),)."""
        if not self.prompts:
            return np.zeros(len(rows), np.int64)
        if self.available_actions is None:
            return np.full(len(rows), self.action_space.sizes[0])
        return self.available_actions[rows].sum(axis=1)

    def step_tokens(self):
        """Tokens of steps in the cache of each row, those of the prompt left out: int64 (rows,)."""
        return self.cache.lengths - self.prompt_tokens

    def action_tensors(self, rows, device):
        """What a model that knows actions by vectors is told: `action_embeddings` and `available_actions` of `rows`.

        Kept from step to step: they are large (rows * actions * d numbers) and seldom change.

        Args:
            rows (`np.ndarray`, *optional*): int64; None: all.
            device (`torch.device`): of the tensors.
        """
        if self._tensors is None:
            self._tensors = {"action_embeddings": torch.from_numpy(self.action_embeddings).to(device)}
            if self.available_actions is not None and not self.available_actions.all():
                self._tensors["available_actions"] = torch.from_numpy(self.available_actions.copy()).to(device)
        if rows is None:
            return self._tensors
        index = torch.from_numpy(rows).to(device)
        return {name: values[index] for name, values in self._tensors.items()}

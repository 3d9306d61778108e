"""A key-value cache whose rows fill, forget and restart each at their own time.

transformers' caches have one length for the whole batch. In a rollout rows restart and overflow at different times,
so here every row has its own length, and what a query sees is said by a mask where the rows are not in step. Keys and
values are written into preallocated buffers, so that a step copies no past.
"""

from dataclasses import dataclass

import numpy as np
import torch
from transformers.cache_utils import Cache, CacheLayerMixin


class RolloutCacheLayer(CacheLayerMixin):
    """One layer's buffers, shape (rows, key-value heads, slots, head size). What to do is planned by the cache."""

    is_sliding = False

    def __init__(self, cache):
        super().__init__()
        self.cache = cache

    def lazy_initialization(self, key_states, value_states):
        for name, states in (("keys", key_states), ("values", value_states)):
            shape = (self.cache.num_rows, states.shape[1], self.cache.num_slots, states.shape[3])
            setattr(self, name, states.new_zeros(shape))
        self.is_initialized = True

    def update(self, key_states, value_states, *args, **kwargs):
        """Write the new keys and values, shape (rows, heads, tokens, head size), and return all that are visible."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        plan = self.cache.plan
        if plan.slots is None:
            # These rows begin again from nothing: they see only themselves.
            self.keys[plan.rows, :, : key_states.shape[2]] = key_states
            self.values[plan.rows, :, : key_states.shape[2]] = value_states
            return key_states, value_states
        if isinstance(plan.slots, slice):
            self.keys[:, :, plan.slots] = key_states
            self.values[:, :, plan.slots] = value_states
        else:
            # Index arrays (rows, 1) and (rows, tokens) around a full slice give (rows, tokens, heads, head size).
            self.keys[plan.rows[:, None], :, plan.slots] = key_states.transpose(1, 2)
            self.values[plan.rows[:, None], :, plan.slots] = value_states.transpose(1, 2)
        if plan.all_rows:
            return self.keys[:, :, : plan.num_visible], self.values[:, :, : plan.num_visible]
        return self.keys[plan.rows, :, : plan.num_visible], self.values[plan.rows, :, : plan.num_visible]

    def get_mask_sizes(self, query_length):
        return self.cache.plan.num_visible, 0

    def get_seq_length(self):
        return self.cache.plan.past_length

    def get_max_length(self):
        return self.cache.num_slots


@dataclass
class WritePlan:
    """Where the next forward pass writes and what it sees; made by `RolloutCache`.

    Attributes:
        num_visible (`int`): slots returned to the attention.
        past_length (`int`): tokens before the pass (where rows are in step, the position of its first token).
        rows (`torch.Tensor`): int64, the rows of the pass; None where `slots` is a slice.
        all_rows (`bool`): the pass has all rows, in order.
        slots (`slice` or `torch.Tensor` or `None`): where to write: a slice for all rows, or (rows, tokens); None
            fills the rows from their first slot on.
    """

    num_visible: int
    past_length: int = 0
    rows: torch.Tensor | None = None
    all_rows: bool = True
    slots: slice | torch.Tensor | None = None


class RolloutCache(Cache):
    """Per-row key-value cache of a trunk.

    A forward pass is announced by `plan_append` or `plan_fill` and then made with this cache as `past_key_values`.

    Args:
        num_layers (`int`): layers of the trunk.
        num_rows (`int`): rows.
        num_slots (`int`): tokens that a row can hold. With a window, slots are used in a ring.
        window (`int`, *optional*): tokens that a query sees, itself included (sliding-window attention); None: all.
            `num_slots` must be at least `window + tokens - 1` for the most tokens ever appended at once.

    Attributes:
        lengths (`np.ndarray`): int64 (rows,), tokens that each row has taken in since it was last emptied.
    """

    def __init__(self, num_layers, num_rows, num_slots, window=None):
        self.num_rows, self.num_slots, self.window = num_rows, num_slots, window
        self.lengths = np.zeros(num_rows, np.int64)
        self.plan = WritePlan(0)
        super().__init__(layers=[RolloutCacheLayer(self) for _ in range(num_layers)])

    def plan_fill(self, rows, lengths, num_tokens, device):
        """The next pass gives `rows` a new content of `num_tokens` tokens, of which the first `lengths` count.

        Args:
            rows (`np.ndarray`): int64, the rows of the pass, in its order.
            lengths (`np.ndarray`): int64 (len(rows),). What is beyond is padding: it is never seen, because
                attention is causal and later tokens overwrite it.
            num_tokens (`int`): tokens of the pass.
            device (`torch.device`): where the cache lives.
        """
        self.plan = WritePlan(num_tokens, rows=torch.from_numpy(rows).to(device), all_rows=False)
        self.lengths[rows] = lengths

    def plan_append(self, num_tokens, device, rows=None, additive_dtype=None):
        """The next pass appends `num_tokens` tokens to every row, or to `rows`.

        Args:
            num_tokens (`int`): tokens of the pass, the same for all its rows.
            device (`torch.device`): where the cache lives.
            rows (`np.ndarray`, *optional*): int64, the rows of the pass, in its order; all by default.
            additive_dtype (`torch.dtype`, *optional*): make the mask additive in this dtype (eager attention) instead
                of boolean.

        Returns:
            `torch.Tensor | None`: the 4-D mask (1 or rows, 1, tokens, visible) for the pass; None where the trunk's
            own causal mask is right.
        """
        before = self.lengths if rows is None else self.lengths[rows]
        after = before + num_tokens
        longest = int(after.max())
        in_step = bool((before == before[0]).all())
        num_visible = min(longest, self.num_slots)
        first = int(before[0]) % self.num_slots
        if rows is None and in_step and first + num_tokens <= self.num_slots:
            row_index, slots = None, slice(first, first + num_tokens)
        else:
            row_index = torch.from_numpy(np.arange(self.num_rows) if rows is None else rows).to(device)
            slots = (before[:, None] + np.arange(num_tokens)) % self.num_slots
            slots = torch.from_numpy(slots).to(device)
        self.plan = WritePlan(num_visible, longest - num_tokens, row_index, rows is None, slots)
        if rows is None:
            self.lengths = after
        else:
            self.lengths[rows] = after

        forgets = self.window is not None and longest > self.window
        if in_step and not forgets:
            # The trunk makes its own causal mask from `get_seq_length` and `get_mask_sizes`, or none for one token.
            return None
        mask = torch.from_numpy(self._mask(before[:1] if in_step else before, num_tokens, num_visible)).to(device)
        if additive_dtype is not None:
            lowest = torch.finfo(additive_dtype).min
            mask = torch.zeros(mask.shape, dtype=additive_dtype, device=device).masked_fill_(~mask, lowest)
        return mask

    def _mask(self, before, num_tokens, num_visible):
        """Which slots each new token sees: bool (rows, 1, tokens, visible)."""
        after = (before + num_tokens)[:, None]
        slot = np.arange(num_visible)
        # The newest position that lies in each slot, counted from the row's beginning; negative: never written.
        position = (after - 1) - (after - 1 - slot) % self.num_slots
        query = (before[:, None] + np.arange(num_tokens))[:, :, None]
        seen = (position[:, None, :] >= 0) & (position[:, None, :] <= query)
        if self.window is not None:
            seen &= position[:, None, :] > query - self.window
        return seen[:, None]

"""From hidden states to a loss, and from logits to drawn actions, for each kind of action space."""

import numpy as np
import torch
from torch import nn

from .counter_noise import normals, uniforms
from .trajectory_embedding import action_units

UNSUPERVISED = -100
# A standard deviation between 1/150 of the half range and 7 times it.
_LOG_STD_RANGE = (-5.0, 2.0)


def _per_item(total, count, num_items):
    """A summed loss divided by the number of items; an empty batch gives 0, not NaN."""
    if num_items is None:
        return total / count.clamp(min=1)
    if torch.is_tensor(num_items):
        # DataParallel hands over one copy a device.
        num_items = num_items.reshape(-1)[0].to(total.device)
    return total / num_items


class CategoricalHead(nn.Module):
    """Discrete actions: one logit each, cross-entropy, inverse-transform sampling.

    Args:
        action (`SpaceSpec`): a Discrete.
        hidden_size (`int`): of the trunk.
    """

    def __init__(self, action, hidden_size):
        super().__init__()
        self.num_actions = action.sizes[0]
        self.projection = nn.Linear(hidden_size, self.num_actions)

    def forward(self, hidden_states):
        return self.projection(hidden_states)

    def loss(self, logits, labels, num_items=None):
        """Cross-entropy summed over supervised steps and divided by `num_items`, or by their number."""
        labels = labels.reshape(-1).to(logits.device)
        supervised = labels != UNSUPERVISED
        total = nn.functional.cross_entropy(
            logits.reshape(-1, self.num_actions).float(), labels, ignore_index=UNSUPERVISED, reduction="sum"
        )
        return _per_item(total, supervised.sum(), num_items)

    def draw(self, logits, temperature, seed, row_ids, draws):
        """Actions for `logits`, float32 NumPy (rows, actions), as int64 (rows,); noise keyed as in `counter_noise`."""
        if temperature == 0:
            return logits.argmax(1).astype(np.int64)
        scaled = logits.astype(np.float64) / temperature
        cumulative = np.exp(scaled - scaled.max(1, keepdims=True)).cumsum(1)
        threshold = uniforms(seed, row_ids, draws, 1) * cumulative[:, -1:]
        # Rounding can put the threshold on the last edge.
        index = np.minimum((cumulative <= threshold).sum(1), self.num_actions - 1)
        return index.astype(np.int64)


class _BoxHead(nn.Module):
    """What heads for Box actions share: units in which finite bounds are -1 and 1, and clipping."""

    def __init__(self, action, hidden_size, outputs):
        super().__init__()
        self.shape, self.low, self.high = action.shape, action.low, action.high
        self.center, self.scale = action_units(action)
        self.projection = nn.Linear(hidden_size, outputs * action.flat_size)

    def forward(self, hidden_states):
        return self.projection(hidden_states)

    def _targets(self, labels, like):
        """Labels (B, T, *shape) as (B, T, numbers) in the head's units, and which of them count."""
        flat = labels.flatten(2).to(device=like.device, dtype=torch.float32)
        supervised = flat != UNSUPERVISED
        return (flat - flat.new_tensor(self.center)) / flat.new_tensor(self.scale), supervised

    def _actions(self, units):
        """NumPy (rows, numbers) in the head's units as clipped actions, float32 (rows, *shape)."""
        actions = (units * self.scale + self.center).reshape(len(units), *self.shape)
        return np.clip(actions, self.low, self.high).astype(np.float32)


class DeterministicHead(_BoxHead):
    """Box actions: the logits are the action; squared error. Nothing is drawn, the temperature plays no part."""

    def __init__(self, action, hidden_size):
        super().__init__(action, hidden_size, 1)

    def loss(self, logits, labels, num_items=None):
        """Squared error summed over supervised numbers and divided by `num_items`, or by their count."""
        target, supervised = self._targets(labels, logits)
        error = (logits.float() - target).square()
        return _per_item(error.masked_fill(~supervised, 0.0).sum(), supervised.sum(), num_items)

    def draw(self, logits, temperature, seed, row_ids, draws):
        """Actions for `logits`, float32 NumPy (rows, numbers), as float32 (rows, *shape)."""
        return self._actions(logits)


class GaussianHead(_BoxHead):
    """Box actions: logits are means, then logarithms of standard deviations; negative log likelihood."""

    def __init__(self, action, hidden_size):
        super().__init__(action, hidden_size, 2)

    def loss(self, logits, labels, num_items=None):
        """Negative log likelihood summed over supervised numbers, divided by `num_items` or their count."""
        target, supervised = self._targets(labels, logits)
        mean, log_std = logits.float().chunk(2, dim=-1)
        log_std = log_std.clamp(*_LOG_STD_RANGE)
        loss = 0.5 * ((target - mean) / log_std.exp()).square() + log_std + 0.5 * np.log(2 * np.pi)
        return _per_item(loss.masked_fill(~supervised, 0.0).sum(), supervised.sum(), num_items)

    def draw(self, logits, temperature, seed, row_ids, draws):
        """Actions for `logits`, float32 NumPy (rows, 2 * numbers), as float32 (rows, *shape)."""
        mean, log_std = np.split(logits.astype(np.float64), 2, axis=1)
        std = np.exp(np.clip(log_std, *_LOG_STD_RANGE)) * temperature
        return self._actions(mean + std * normals(seed, row_ids, draws, mean.shape[1]))


ACTION_HEADS = {"categorical": CategoricalHead, "gaussian": GaussianHead, "deterministic": DeterministicHead}

"""From hidden states to a loss, and from logits to drawn actions, for each kind of action space."""

import numpy as np
import torch
from torch import nn

from .counter_noise import normals, uniforms
from .trajectory_embedding import action_units

UNSUPERVISED = -100
# A standard deviation between 1/150 of the half range and 7 times it.
_LOG_STD_RANGE = (-5.0, 2.0)


def per_item(losses, supervised, num_items, weights):
    """Losses (B, T, ...) summed, weighted by step, and divided by the number of items; an empty batch gives 0, not NaN.

    Args:
        supervised (`torch.Tensor`): bool, shaped like `losses`, which are 0 elsewhere.
        num_items (`int` or `torch.Tensor`, *optional*): by default how many are supervised.
        weights (`torch.Tensor`, *optional*): (B, T).
    """
    if weights is not None:
        weights = weights.to(device=losses.device, dtype=losses.dtype)
        losses = losses * weights.reshape(*weights.shape, *(1,) * (losses.dim() - weights.dim()))
    total, count = losses.sum(), supervised.sum()
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
        label_smoothing (`float`): the share of the target that is spread evenly over all actions.
    """

    def __init__(self, action, hidden_size, label_smoothing=0.0):
        super().__init__()
        self.num_actions, self.label_smoothing = action.sizes[0], label_smoothing
        self.projection = nn.Linear(hidden_size, self.num_actions)

    def forward(self, hidden_states):
        return self.projection(hidden_states)

    def loss(self, logits, labels, num_items=None, weights=None):
        """Cross-entropy, weighted by step, summed over supervised steps, divided by `num_items` or by their number."""
        labels = labels.to(logits.device)
        losses = nn.functional.cross_entropy(
            logits.reshape(-1, self.num_actions).float(),
            labels.reshape(-1),
            ignore_index=UNSUPERVISED,
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return per_item(losses.view(labels.shape), labels != UNSUPERVISED, num_items, weights)

    def draw(self, logits, temperature, seed, row_ids, draws, available=None):
        """Actions for `logits`, float32 NumPy (rows, actions), and their entropies; see `draw_categorical`."""
        return draw_categorical(logits, temperature, seed, row_ids, draws, available)


def draw_categorical(logits, temperature, seed, row_ids, draws, available=None):
    """Draw one action a row by inverse transform; noise keyed as in `counter_noise`.

    Args:
        logits (`np.ndarray`): float (rows, actions).
        temperature (`float`): logits are divided by it; 0 takes the largest.
        seed (`int`), row_ids, draws (`np.ndarray`): the key of each row's number.
        available (`np.ndarray`, *optional*): bool like `logits`: which actions may be drawn, one at least a row.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: actions, int64 (rows,), and the entropies in nats of the distributions that
        they were drawn from, float64 (rows,).

    Raises:
        ValueError: the logit of an action that may be drawn is not finite.
    """
    finite = np.isfinite(logits) if available is None else np.isfinite(logits) | ~available
    if not finite.all():
        row, action = np.argwhere(~finite)[0]
        raise ValueError(
            f"the model gives the action {action} of row {row} the logit {logits[row, action]}, which is not finite: its "
            "weights are broken (did training diverge?), or its dtype is too narrow for them"
        )
    last = logits.shape[1] - 1
    if available is not None:
        logits = np.where(available, logits, -np.inf)
        last = last - available[:, ::-1].argmax(1)
    if temperature == 0:
        return logits.argmax(1).astype(np.int64), np.zeros(len(logits))
    scaled = logits.astype(np.float64)
    # Before the division, which a temperature near 0 lets overflow (to -inf, which has no weight, as is right).
    scaled -= scaled.max(1, keepdims=True)
    with np.errstate(over="ignore"):
        scaled /= temperature
    weights = np.exp(scaled)
    cumulative = weights.cumsum(1)
    total = cumulative[:, -1:]
    threshold = uniforms(seed, row_ids, draws, 1) * total
    # Rounding can put the threshold on the last edge.
    index = np.minimum((cumulative <= threshold).sum(1), last)
    # The mean of -log p = log(total) - scaled; what has no weight adds nothing.
    entropies = np.log(total[:, 0]) - (weights * np.where(weights > 0, scaled, 0.0)).sum(1) / total[:, 0]
    return index.astype(np.int64), entropies


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

    def loss(self, logits, labels, num_items=None, weights=None):
        """Squared error, weighted by step, summed over supervised numbers, divided by `num_items` or their count."""
        target, supervised = self._targets(labels, logits)
        error = (logits.float() - target).square()
        return per_item(error.masked_fill(~supervised, 0.0), supervised, num_items, weights)

    def draw(self, logits, temperature, seed, row_ids, draws, available=None):
        """Actions for `logits`, float32 NumPy (rows, numbers), as float32 (rows, *shape); entropies are NaN."""
        return self._actions(logits), np.full(len(logits), np.nan)


class GaussianHead(_BoxHead):
    """Box actions: logits are means, then logarithms of standard deviations; negative log likelihood."""

    def __init__(self, action, hidden_size):
        super().__init__(action, hidden_size, 2)

    def loss(self, logits, labels, num_items=None, weights=None):
        """Negative log likelihood, weighted and summed likewise, divided by `num_items` or the count of numbers."""
        target, supervised = self._targets(labels, logits)
        mean, log_std = logits.float().chunk(2, dim=-1)
        log_std = log_std.clamp(*_LOG_STD_RANGE)
        loss = 0.5 * ((target - mean) / log_std.exp()).square() + log_std + 0.5 * np.log(2 * np.pi)
        return per_item(loss.masked_fill(~supervised, 0.0), supervised, num_items, weights)

    def draw(self, logits, temperature, seed, row_ids, draws, available=None):
        """Actions for `logits`, float32 NumPy (rows, 2 * numbers), as float32 (rows, *shape); entropies are NaN."""
        mean, log_std = np.split(logits.astype(np.float64), 2, axis=1)
        std = np.exp(np.clip(log_std, *_LOG_STD_RANGE)) * temperature
        actions = self._actions(mean + std * normals(seed, row_ids, draws, mean.shape[1]))
        return actions, np.full(len(logits), np.nan)


def action_head(config, action):
    """The head that a config ([`ICRLPreTrainedConfig`], checked) asks for; `action` is its parsed action space."""
    hidden_size = config.trunk_config.hidden_size
    kind = config.resolved_action_head
    if kind == "categorical":
        return CategoricalHead(action, hidden_size, float(config.label_smoothing))
    return (GaussianHead if kind == "gaussian" else DeterministicHead)(action, hidden_size)

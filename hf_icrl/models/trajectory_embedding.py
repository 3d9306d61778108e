"""From what an agent knows at each step to the tokens that the trunk reads.

Shape suffixes: B rows, T steps, H hidden size, P tokens a step (1 fused, 3 interleaved).
"""

import numpy as np
import torch
from torch import nn

from .space_specs import parse_space


class DiscreteEmbedding(nn.Module):
    """One table for each factor of a discrete space; the vectors of the factors are summed.

    Args:
        sizes (`list[int]`): values of each factor.
        hidden_size (`int`): H.
        grid (`list[int]`, *optional*): the space is one Discrete that counts through a grid of this shape, last
            dimension fastest; its coordinates are the factors.
    """

    def __init__(self, sizes, hidden_size, grid=None):
        super().__init__()
        self.grid = grid
        self.tables = nn.ModuleList(nn.Embedding(size, hidden_size) for size in (grid or sizes))

    def forward(self, values):
        """Embed integers of shape (B, T), or (B, T, factors), as (B, T, H)."""
        if self.grid is not None:
            factors = torch.unravel_index(values, self.grid)
        elif values.dim() == 2:
            factors = [values]
        else:
            factors = values.unbind(-1)
        total = self.tables[0](factors[0])
        for table, factor in zip(self.tables[1:], factors[1:], strict=True):
            total = total + table(factor)
        return total


class LinearEmbedding(nn.Module):
    """Normalise the numbers of a Box value and project them.

    Args:
        mean, std (`np.ndarray`): shape (numbers,), float32. Not tensors: `from_pretrained` builds modules under the
            meta device, where tensors have no values.
        hidden_size (`int`): H.
    """

    def __init__(self, mean, std, hidden_size):
        super().__init__()
        # They come from the config, so they are rebuilt, not saved; None where there is nothing to normalise. What is
        # the same for all numbers (the thousands of an image) is kept as one.
        parts = [part[:1] if (part == part[0]).all() else part for part in (mean, std)]
        self.statistics = None if (mean == 0).all() and (std == 1).all() else [part.tolist() for part in parts]
        self.projection = nn.Linear(len(mean), hidden_size)

    def forward(self, values):
        """Embed numbers of shape (B, T, *shape), or flattened (B, T, numbers), as (B, T, H)."""
        flat = values.flatten(2).to(torch.float32)
        if self.statistics is not None:
            mean, std = self.statistics
            flat = (flat - flat.new_tensor(mean)) / flat.new_tensor(std)
        return self.projection(flat.to(self.projection.weight.dtype))


class TrajectoryEmbedding(nn.Module):
    """Observations with the previous action, reward and episode end -> tokens.

    A step whose `previous_dones` is -1 has no predecessor: its action and reward are embedded as "none", whatever
    their values.

    Args:
        config ([`ICRLPreTrainedConfig`]): spaces, layout, normalisation; H is the trunk's hidden size.
    """

    def __init__(self, config):
        super().__init__()
        hidden_size = config.trunk_config.hidden_size
        observation = parse_space(config.observation_space, "observation_space")
        action = parse_space(config.action_space, "action_space")
        self.interleaved = config.token_layout == "interleaved"
        self.reward_mean, self.reward_std = float(config.reward_mean), float(config.reward_std)

        if config.resolved_observation_embedding == "linear":
            size, unit = observation.flat_size, 255 if observation.is_image else 1
            mean, std = config.observation_mean or [0] * size, config.observation_std or [unit] * size
            self.observation = LinearEmbedding(np.asarray(mean, np.float32), np.asarray(std, np.float32), hidden_size)
        else:
            self.observation = DiscreteEmbedding(observation.sizes, hidden_size, config.observation_grid)

        self.discrete_actions = action.is_discrete
        if action.is_discrete:
            # The last row is "none".
            self.num_actions = action.sizes[0]
            self.action = nn.Embedding(self.num_actions + 1, hidden_size)
        else:
            center, scale = action_units(action)
            self.action = LinearEmbedding(center, scale, hidden_size)
            self.no_action = nn.Embedding(1, hidden_size)
        self.reward = nn.Linear(1, hidden_size)
        self.no_reward = nn.Embedding(1, hidden_size)
        # Rows: none, the episode went on, the episode ended.
        self.done = nn.Embedding(3, hidden_size)

    def forward(self, observations, previous_actions, previous_rewards, previous_dones):
        """Embed.

        Args:
            observations (`torch.Tensor`): (B, T) or (B, T, *shape), int64, float32 or (images) uint8.
            previous_actions (`torch.Tensor`): (B, T) int64 or (B, T, *shape) float32.
            previous_rewards (`torch.Tensor`): (B, T) float32.
            previous_dones (`torch.Tensor`): (B, T) int64: 1 ended, 0 went on, -1 no predecessor.

        Returns:
            `torch.Tensor`: (B, T * P, H).
        """
        none_BT = previous_dones < 0
        if self.discrete_actions:
            action_BTH = self.action(previous_actions.masked_fill(none_BT, self.num_actions))
        else:
            action_BTH = torch.where(none_BT[..., None], self.no_action.weight, self.action(previous_actions))
        reward_BT1 = ((previous_rewards.to(torch.float32) - self.reward_mean) / self.reward_std)[..., None]
        reward_BTH = self.reward(reward_BT1.to(self.reward.weight.dtype))
        reward_BTH = torch.where(none_BT[..., None], self.no_reward.weight, reward_BTH)
        action_BTH = action_BTH + self.done(previous_dones + 1)
        observation_BTH = self.observation(observations)
        if not self.interleaved:
            return observation_BTH + action_BTH + reward_BTH
        return torch.stack([action_BTH, reward_BTH, observation_BTH], dim=2).flatten(1, 2)


def action_units(action):
    """The units of Box actions inside the model: finite bounds become -1 and 1.

    Args:
        action (`SpaceSpec`): a Box.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: center and scale, float32, flat; 0 and 1 where a bound is infinite.
    """
    low, high = (bound.reshape(-1).astype(np.float64) for bound in (action.low, action.high))
    bounded = np.isfinite(low) & np.isfinite(high) & (high > low)
    low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
    return ((low + high) / 2).astype(np.float32), ((high - low) / 2).astype(np.float32)

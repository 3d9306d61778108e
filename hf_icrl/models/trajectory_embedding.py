"""From what an agent knows at each step to the tokens that the trunk reads.

Shape suffixes: B rows, T steps, H hidden size, P tokens a step (1 fused, 3 interleaved).
"""

import numpy as np
import torch
from torch import nn

from .observation_embeddings import LinearEmbedding, observation_embedding
from .space_specs import parse_space


class TableOfRewards(nn.Module):
    """One vector for each value that a reward can have.

    A projection of the number alone gives the reward 0 nothing but its bias, the same vector at every step; a table
    gives it a vector of its own.

    Args:
        values (`list[float]`): the rewards; one that is none of them gets the vector of the nearest.
        hidden_size (`int`): H.
    """

    def __init__(self, values, hidden_size):
        super().__init__()
        self.values = values
        self.table = nn.Embedding(len(values), hidden_size)

    def forward(self, rewards):
        """Embed float32 rewards (B, T) as (B, T, H)."""
        return self.table((rewards[..., None] - rewards.new_tensor(self.values)).abs().argmin(-1))


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

        self.observation = observation_embedding(config, observation)
        self.previous_observation = (
            observation_embedding(config, observation) if config.embed_previous_observation else None
        )
        self.make_action_embedding(config, action, hidden_size)
        self.reward_table = config.reward_embedding == "table"
        if self.reward_table:
            self.reward = TableOfRewards(config.reward_values, hidden_size)
        else:
            self.reward = nn.Linear(1, hidden_size)
        self.no_reward = nn.Embedding(1, hidden_size)
        # Rows: none, the episode went on, the episode ended.
        self.done = nn.Embedding(3, hidden_size)
        self.embeds_time = config.embeds_time
        if self.embeds_time:
            self.time = nn.Embedding(config.episode_length, hidden_size)

    def make_action_embedding(self, config, action, hidden_size):
        """Make the parameters that previous actions, of the space `action` ([`SpaceSpec`]), are embedded with."""
        self.discrete_actions = action.is_discrete
        if action.is_discrete:
            # The last row is "none".
            self.num_actions = action.sizes[0]
            self.action = nn.Embedding(self.num_actions + 1, hidden_size)
        else:
            center, scale = action_units(action)
            self.action = LinearEmbedding(center, scale, hidden_size)
            self.no_action = nn.Embedding(1, hidden_size)

    def embed_actions(self, previous_actions, none_BT):
        """Previous actions as (B, T, H); "none" where `none_BT`, bool (B, T), says so."""
        if self.discrete_actions:
            return self.action(previous_actions.masked_fill(none_BT, self.num_actions))
        return torch.where(none_BT[..., None], only_vector(self.no_action, none_BT), self.action(previous_actions))

    def forward(
        self,
        observations,
        previous_actions,
        previous_rewards,
        previous_dones,
        episode_times=None,
        previous_observations=None,
    ):
        """Embed.

        Args:
            observations (`torch.Tensor`): (B, T) or (B, T, *shape), int64, float32 or (images) uint8.
            previous_actions (`torch.Tensor`): (B, T) int64 or (B, T, *shape) float32.
            previous_rewards (`torch.Tensor`): (B, T) float32.
            previous_dones (`torch.Tensor`): (B, T) int64: 1 ended, 0 went on, -1 no predecessor.
            episode_times (`torch.Tensor`), previous_observations (`torch.Tensor`): (B, T) int64, and like `observations`,
                where the config says that they are embedded, and only then.

        Returns:
            `torch.Tensor`: (B, T * P, H).
        """
        action_BTH = self.embed_actions(previous_actions, previous_dones < 0)
        return self.tokens(
            observations, action_BTH, previous_rewards, previous_dones, episode_times, previous_observations
        )

    def tokens(
        self,
        observations,
        action_BTH,
        previous_rewards,
        previous_dones,
        episode_times=None,
        previous_observations=None,
    ):
        """The same with previous actions that are embedded already, (B, T, H)."""
        none_BT = previous_dones < 0
        previous_rewards = previous_rewards.to(torch.float32)
        if self.reward_table:
            reward_BTH = self.reward(previous_rewards)
        else:
            reward_BT1 = ((previous_rewards - self.reward_mean) / self.reward_std)[..., None]
            reward_BTH = self.reward(reward_BT1.to(self.reward.weight.dtype))
        reward_BTH = torch.where(none_BT[..., None], only_vector(self.no_reward, none_BT), reward_BTH)
        action_BTH = action_BTH + self.done(previous_dones + 1)
        if previous_observations is not None:
            before_BTH = self.previous_observation(previous_observations)
            action_BTH = action_BTH + before_BTH.masked_fill(none_BT[..., None], 0.0)
        observation_BTH = self.observation(observations)
        if self.interleaved:
            tokens_BTPH = torch.stack([action_BTH, reward_BTH, observation_BTH], dim=2)
        else:
            tokens_BTPH = (observation_BTH + action_BTH + reward_BTH)[:, :, None]
        if episode_times is not None:
            tokens_BTPH = tokens_BTPH + self.time(episode_times)[:, :, None]
        return tokens_BTPH.flatten(1, 2)


def only_vector(table, like):
    """The vector of an `nn.Embedding(1, H)`, (1, H), on the device of the tensor `like`.

    By a call and not as `table.weight`: with accelerate's offloading weights are there only while their module is called.
    """
    return table(torch.zeros(1, dtype=torch.int64, device=like.device))


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

"""Tokens of Headless-AD: steps in which actions are random vectors, after a prompt that shows those vectors.

Shape suffixes: B rows, A actions, T steps, P tokens a step, H hidden size, D numbers of a vector, N tokens of a row.
"""

import torch
from torch import nn

from .trajectory_embedding import TrajectoryEmbedding, only_vector


class HeadlessEmbedding(TrajectoryEmbedding):
    """As [`TrajectoryEmbedding`], but one projection lifts the vectors of actions, there is no table of them.

    Args:
        config ([`HeadlessADConfig`]).
    """

    def make_action_embedding(self, config, action, hidden_size):
        self.lift = nn.Linear(config.action_dim, hidden_size)
        self.no_action = nn.Embedding(1, hidden_size)
        if config.action_prompt:
            # Tells a token of the prompt from a step in which that action was taken.
            self.prompt = nn.Embedding(1, hidden_size)

    def forward(
        self,
        observations,
        previous_actions,
        previous_rewards,
        previous_dones,
        vectors,
        available=None,
        episode_times=None,
        previous_observations=None,
        prompt_lengths=None,
    ):
        """Embed.

        Args:
            observations, previous_actions, previous_rewards, previous_dones, episode_times, previous_observations:
                as in [`TrajectoryEmbedding`]; T may be 0.
            vectors (`torch.Tensor`): float32 (B, A, D).
            available (`torch.Tensor`, *optional*): bool (B, A), the actions in the prompt; default all.
            prompt_lengths (`torch.Tensor`, *optional*): int64 (B,), how many actions are available; None: no prompt.

        Returns:
            `torch.Tensor`: tokens (B, N, H): the vectors of the available actions in the order of the actions, then the
            steps, then padding (so that every row is its tokens without gaps, and causal attention alone hides the
            padding). A tensor alone, because gradient checkpointing hooks into what this returns.
        """
        none_BT = previous_dones < 0
        index = previous_actions.masked_fill(none_BT, 0)[..., None].expand(-1, -1, vectors.shape[-1])
        dtype = self.lift.weight.dtype
        lifted_BTH = self.lift(vectors.gather(1, index).to(dtype))
        action_BTH = torch.where(none_BT[..., None], only_vector(self.no_action, none_BT), lifted_BTH)
        steps_BNH = self.tokens(
            observations, action_BTH, previous_rewards, previous_dones, episode_times, previous_observations
        )
        if prompt_lengths is None:
            return steps_BNH
        prompt_BAH = self.lift(vectors.to(dtype)) + only_vector(self.prompt, vectors)
        num_actions, lengths = prompt_BAH.shape[1], prompt_lengths
        if available is None or bool(available.all()):
            return torch.cat([prompt_BAH, steps_BNH], dim=1)
        # Available actions first, in their own order.
        order = (~available).to(torch.int8).argsort(dim=1, stable=True)
        place = torch.arange(int(lengths.max()) + steps_BNH.shape[1], device=order.device)
        step = (place - lengths[:, None]).clamp(max=max(steps_BNH.shape[1] - 1, 0))
        in_prompt = place < lengths[:, None]
        padded = torch.nn.functional.pad(order, (0, max(len(place) - num_actions, 0)))[:, : len(place)]
        source = torch.where(in_prompt, padded, num_actions + step)
        both_BNH = torch.cat([prompt_BAH, steps_BNH], dim=1)
        source = source.clamp(max=both_BNH.shape[1] - 1)
        return both_BNH.gather(1, source[..., None].expand(-1, -1, both_BNH.shape[-1]))

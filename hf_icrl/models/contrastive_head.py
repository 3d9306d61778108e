"""The head of Headless-AD: it predicts a vector, and the action whose vector is most like it is the most probable."""

import torch
from torch import nn

from .action_heads import UNSUPERVISED, draw_categorical, per_item


class ContrastiveHead(nn.Module):
    """A prediction in the space of the action vectors; similarities to them are the logits.

    Sinii et al. 2024 (arXiv:2312.13327), section 4: `logit_j = <z, g_j>`, trained by InfoNCE, in which every other
    available action is a negative. With `loss="mse"` (their ablation) the logits are `-|z - g_j|^2`.

    Args:
        hidden_size (`int`): of the trunk.
        config ([`HeadlessADConfig`]).
    """

    def __init__(self, hidden_size, config):
        super().__init__()
        self.squared_error, self.zero_mask = config.action_loss == "mse", config.loss_mask == "zero"
        self.train_temperature = float(config.train_temperature)
        self.log_scale = config.logit_scale == "log_actions"
        self.projection = nn.Linear(hidden_size, config.action_dim)

    def forward(self, hidden_states):
        """Predictions (B, T, d) for hidden states (B, T, H)."""
        return self.projection(hidden_states)

    def logits(self, predictions, vectors, available=None):
        """Float32 (B, T, A); minus infinity where `available`, bool (B, A), is false. `vectors`: (B, A, d)."""
        predictions, vectors = predictions.float(), vectors.float()
        # Autocast would multiply in bfloat16, which tells near similarities not apart.
        with torch.autocast(predictions.device.type, enabled=False):
            logits = predictions @ vectors.transpose(1, 2)
        if self.squared_error:
            lengths = predictions.square().sum(-1, keepdim=True) + vectors.square().sum(-1)[:, None]
            logits = 2 * logits - lengths
        if self.log_scale:
            number = vectors.shape[1] if available is None else available.sum(1)[:, None, None]
            logits = logits * torch.as_tensor(number, device=logits.device).clamp(min=2).log()
        if available is not None:
            logits = logits.masked_fill(~available[:, None], -torch.inf)
        return logits

    def loss(self, predictions, vectors, logits, labels, num_items=None, weights=None):
        """InfoNCE (or squared error, mean over d), weighted by step, summed over supervised steps, divided by
        `num_items` or by their number."""
        labels = labels.to(logits.device)
        supervised = labels != UNSUPERVISED
        if self.squared_error:
            index = labels.masked_fill(~supervised, 0)[..., None].expand(-1, -1, vectors.shape[-1])
            target = vectors.float().gather(1, index)
            losses = (predictions.float() - target).square().mean(-1).masked_fill(~supervised, 0.0)
        else:
            if self.zero_mask:
                logits = logits.masked_fill(logits == -torch.inf, 0.0)
            losses = nn.functional.cross_entropy(
                (logits / self.train_temperature).flatten(0, 1),
                labels.flatten(),
                ignore_index=UNSUPERVISED,
                reduction="none",
            ).view(labels.shape)
        return per_item(losses, supervised, num_items, weights)

    def draw(self, logits, temperature, seed, row_ids, draws, available=None):
        """Actions for `logits`, float32 NumPy (rows, actions), and their entropies; see `draw_categorical`."""
        return draw_categorical(logits, temperature, seed, row_ids, draws, available)

"""How much attention the prompt of the actions draws where there are more actions than a model was trained with."""

import torch


def bounded_prompt_mask(mask, prompt, capacity, num_queries, past, dtype):
    """An additive mask in which the prompt draws no more attention than `capacity` tokens alike would.

    In softmax attention n tokens alike draw n times the attention of one. So a prompt of more actions than training ever
    showed draws attention from the history, and a model may go on exploring for ever. Where n > c = `capacity`, each of
    the n tokens counts c / n times: ln(c / n) is added to its attention logits.

    Args:
        mask (`torch.Tensor`, *optional*): int64 (rows, keys), 0 for padding; or 4-D (1 or rows, 1, queries, keys), bool or
            additive; None: causal attention to everything.
        prompt (`torch.Tensor`): int64 (rows,), the tokens of each row's prompt, its first keys.
        capacity (`int`): c.
        num_queries (`int`), past (`int`): the tokens of this pass, and those in the cache before them.
        dtype (`torch.dtype`): of the result.

    Returns:
        `torch.Tensor`: (rows, 1, queries, keys).
    """
    device = prompt.device
    num_keys = mask.shape[-1] if mask is not None else past + num_queries
    key = torch.arange(num_keys, device=device)
    excess = (prompt / capacity).log().clamp(min=0)[:, None]
    bias = torch.where(key < prompt[:, None], -excess, 0.0).to(dtype)[:, None, None]
    if mask is not None and mask.dim() == 4:
        if mask.dtype != torch.bool:
            return mask + bias
        seen = mask
    else:
        seen = key <= past + torch.arange(num_queries, device=device)[:, None]
        if mask is not None:
            seen = seen & (mask != 0)[:, None, None]
    lowest = torch.finfo(dtype).min
    return bias.expand(-1, -1, num_queries, -1).masked_fill(~seen, lowest)

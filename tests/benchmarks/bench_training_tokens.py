"""Training tokens per second of AlgorithmDistillationModel, and the ratio to a minimal hand-written torch model.

    python tests/benchmarks/bench_training_tokens.py [--batch_size 64] [--steps 200] [--hidden_size 64] [--layers 4]

Both models have the same shape (the default Llama trunk: RMS norms, rotary positions, gated MLP; one fused token a
step, row + column tables) and the same number of parameters in the trunk, run forward and backward on the same batch
in the same process, in turns. The ratio is taken between the fastest turns of each, as `timeit` does, because what
slows the others down is what else the machine does; the ratio of the medians stands beside it.
"""

import argparse
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel

SIZE, ACTIONS = 9, 5


class MinimalBlock(nn.Module):
    # Separate projections: on the CPU they are faster than one wide matrix whose output is split.
    def __init__(self, hidden, heads, inner):
        super().__init__()
        self.heads = heads
        self.norm_1, self.norm_2 = nn.RMSNorm(hidden), nn.RMSNorm(hidden)
        self.q, self.k, self.v, self.out = (nn.Linear(hidden, hidden, bias=False) for _ in range(4))
        self.gate, self.up = nn.Linear(hidden, inner, bias=False), nn.Linear(hidden, inner, bias=False)
        self.down = nn.Linear(inner, hidden, bias=False)

    def forward(self, x, cos, sin):
        batch, steps, hidden = x.shape
        y = self.norm_1(x)
        q, k, v = (p(y).view(batch, steps, self.heads, -1).transpose(1, 2) for p in (self.q, self.k, self.v))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, steps, hidden))
        y = self.norm_2(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-b, a], dim=-1) * sin


class MinimalModel(nn.Module):
    def __init__(self, hidden, layers, heads, inner, steps):
        super().__init__()
        self.row, self.column = nn.Embedding(SIZE, hidden), nn.Embedding(SIZE, hidden)
        self.action, self.done = nn.Embedding(ACTIONS + 1, hidden), nn.Embedding(3, hidden)
        self.reward = nn.Linear(1, hidden)
        self.blocks = nn.ModuleList(MinimalBlock(hidden, heads, inner) for _ in range(layers))
        self.norm, self.head = nn.RMSNorm(hidden), nn.Linear(hidden, ACTIONS)
        size = hidden // heads
        angle = torch.arange(steps)[:, None] / 10000 ** (torch.arange(0, size, 2) / size)
        angle = torch.cat([angle, angle], dim=-1)
        self.cos, self.sin = angle.cos(), angle.sin()

    def forward(self, observations, previous_actions, previous_rewards, previous_dones, labels):
        x = self.row(observations // SIZE) + self.column(observations % SIZE) + self.action(previous_actions)
        x = x + self.done(previous_dones + 1) + self.reward(previous_rewards[..., None])
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return functional.cross_entropy(self.head(self.norm(x)).flatten(0, 1), labels.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--hidden_size", type=int, default=64)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    config = AlgorithmDistillationConfig(
        observation_space={"type": "Discrete", "n": SIZE * SIZE},
        action_space={"type": "Discrete", "n": ACTIONS},
        observation_grid=[SIZE, SIZE],
        context_length=args.steps,
        trunk_config={
            "hidden_size": args.hidden_size,
            "num_hidden_layers": args.layers,
            "num_attention_heads": args.heads,
        },
    )
    model = AlgorithmDistillationModel(config).train()
    inner = config.trunk_config.intermediate_size
    minimal = MinimalModel(args.hidden_size, args.layers, args.heads, inner, args.steps).train()
    shape = (args.batch_size, args.steps)
    batch = {
        "observations": torch.randint(SIZE * SIZE, shape),
        "previous_actions": torch.randint(ACTIONS, shape),
        "previous_rewards": torch.rand(shape),
        "previous_dones": torch.randint(2, shape),
        "labels": torch.randint(ACTIONS, shape),
    }

    def turn(module):
        module.zero_grad()
        start = time.perf_counter()
        loss = module(**batch)
        (loss if torch.is_tensor(loss) else loss.loss).backward()
        return time.perf_counter() - start

    for _ in range(3):
        turn(model), turn(minimal)
    times = {"AlgorithmDistillationModel": [], "minimal torch": []}
    for _ in range(args.turns):
        times["AlgorithmDistillationModel"].append(turn(model))
        times["minimal torch"].append(turn(minimal))

    tokens = args.batch_size * args.steps
    print(
        f"{args.batch_size} windows of {args.steps} tokens, {args.layers} layers of width {args.hidden_size}, "
        f"{args.threads} threads, forward and backward"
    )
    for (name, seconds), module in zip(times.items(), (model, minimal), strict=True):
        parameters = sum(parameter.numel() for parameter in module.parameters())
        print(
            f"  {name:<27} {parameters:>9,} parameters  {tokens / min(seconds):>9,.0f} tokens/s "
            f"(median {tokens / statistics.median(seconds):,.0f})"
        )
    ours, theirs = times.values()
    print(
        f"  ratio of times, ours / minimal: {min(ours) / min(theirs):.2f} (medians "
        f"{statistics.median(ours) / statistics.median(theirs):.2f})"
    )


if __name__ == "__main__":
    main()

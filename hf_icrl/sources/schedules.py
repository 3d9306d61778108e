"""How noise decays over a history."""

import numpy as np

# Name -> share of the noise that is left, as a function of the share of the decay that is over (0 to 1).
SHAPES = {
    "linear": lambda x: 1.0 - x,
    "cosine": lambda x: 0.5 * (1.0 + np.cos(np.pi * x)),
    "stepped": lambda x: 1.0 - x,
}

SENTENCES = {
    "linear": "falls linearly with every step",
    "cosine": "falls along half a cosine with every step",
    "stepped": "falls linearly from episode to episode, constant within one,",
}


def noise_level(schedule, clock, fraction, start, end):
    """The noise of each run at its next action.

    An episode counts with its full horizon, so one that ends early takes its share of the decay with it.

    Args:
        schedule (`str`): a name in `SHAPES`.
        clock (`hf_icrl.sources.base.Clock`): where the runs are.
        fraction (`np.ndarray`, shape `(n,)`): the share of the history after which the noise has reached `end`.
        start, end (`float`): noise at the beginning and after the decay.

    Returns:
        `np.ndarray`: float64 `(n,)`.
    """
    step = 0 if schedule == "stepped" else clock.step / clock.horizon
    progress = np.minimum((clock.episode + step) / clock.num_episodes, 1.0)
    # A fraction of 0 means that the noise is at its end from the first step on.
    over = np.minimum(progress / np.maximum(fraction, 1e-12), 1.0)
    over = np.where(fraction == 0, 1.0, over)
    return end + (start - end) * SHAPES[schedule](over)

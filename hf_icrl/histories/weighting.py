"""How much the steps of an episode count in the training loss."""

import numpy as np

# How many times more, or less, than a step without advantage a step can count (before the normalisation).
_MOST = 4.0


def improvement_weights(returns, lengths):
    """Weights that favour the episodes in which a source algorithm did better than it had done so far.

    For the episodes e = 0, 1, ... of one history with returns R_e, the baseline is b_e = mean(R_0 .. R_{e-1}), with
    b_0 = R_0, and the advantage A_e = R_e - b_e. An episode weighs exp(A_e / sd), sd being the standard deviation of
    all R_e (1 where they are equal), clipped to [1/4, 4], and then divided by the mean over all steps of the history:
    the mean weight of its steps is 1, so that every history keeps its share of the loss.

    Args:
        returns (`np.ndarray` of shape (episodes,)): undiscounted returns of one history. An unfinished last episode
            counts with what it has earned.
        lengths (`np.ndarray` of shape (episodes,)): steps of each episode.

    Returns:
        `np.ndarray`: float32 (episodes,).
    """
    returns = np.asarray(returns, np.float64)
    before = np.concatenate([returns[:1], np.cumsum(returns)[:-1] / np.arange(1, len(returns))])
    spread = returns.std()
    # Sums of equal numbers leave a spread of rounding errors.
    if spread <= 1e-6 * np.abs(returns).max():
        spread = 1.0
    weights = np.exp(np.clip((returns - before) / spread, -np.log(_MOST), np.log(_MOST)))
    return (weights * (lengths.sum() / (weights @ lengths))).astype(np.float32)


# What `HistoryWindows(weighting=...)` may be called.
WEIGHTINGS = {"improvement": improvement_weights}

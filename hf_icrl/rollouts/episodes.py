"""Cut streams of steps into episodes."""

import numpy as np


def cut_episodes(rewards, dones, starts, num_episodes):
    """Returns and lengths of each row's first episodes.

    Args:
        rewards (`np.ndarray` of shape (rows, steps)).
        dones (`np.ndarray` of bool, shape (rows, steps)): True at the last step of an episode.
        starts (`np.ndarray` of shape (rows,)): the step at which the row's own stream begins.
        num_episodes (`int`): how many episodes to cut, all of them finished in every row.

    Returns:
        `(returns, lengths, ends)`: `returns` (rows, num_episodes) float64, `lengths` (rows, num_episodes) int64,
        and `ends` (rows,): the step after the row's last counted one.
    """
    rows, steps = dones.shape
    at = np.arange(steps)
    inside = at >= starts[:, None]
    episode = np.cumsum(dones & inside, axis=1) - (dones & inside)
    counted = inside & (episode < num_episodes)
    row, step = np.nonzero(counted)
    index = (row, episode[row, step])
    returns = np.zeros((rows, num_episodes))
    lengths = np.zeros((rows, num_episodes), np.int64)
    np.add.at(returns, index, rewards[row, step])
    np.add.at(lengths, index, 1)
    return returns, lengths, starts + lengths.sum(axis=1)


def left_aligned(steps, starts, ends):
    """Each row's `steps[i, starts[i]:ends[i]]`, padded with zeros to the longest.

    Args:
        steps (`np.ndarray` of shape (rows, T, ...)).
        starts, ends (`np.ndarray` of shape (rows,)).

    Returns:
        `np.ndarray` of shape (rows, max(ends - starts), ...).
    """
    counts = ends - starts
    width = int(counts.max(initial=0))
    offset = np.arange(width)
    index = np.minimum(starts[:, None] + offset, max(steps.shape[1] - 1, 0))
    if width == 0:
        return np.zeros((len(steps), 0, *steps.shape[2:]), steps.dtype)
    cut = steps[np.arange(len(steps))[:, None], index]
    cut[offset >= counts[:, None]] = 0
    return cut

"""Which goals the published DarkRoom experiments trained on: cells `row * size + column`, drawn as their code drew them.

Each function returns `(train, held_out)`, two int64 arrays of cells. The start is not left out where the published
split has it. Other splits are by SHA-256 (`hf_icrl/splits.py`); these need the generators of their time, whose streams
NumPy and Python keep.
"""

import random

import numpy as np

from hf_icrl.envs import words


def headless_ad_goals(seed, size):
    """Headless-AD (Sinii et al. 2024, arXiv:2312.13327): 85 % of the cells train, rounded down; 68 and 13 of 81."""
    # How many words are permuted afterwards does not matter to the cells.
    cells, _ = words.published_permutations(seed, size * size, 1)
    return _cut(cells, int(0.85 * size * size))


def ad_eps_goals():
    """AD-eps (Zisman et al. 2024, arXiv:2312.12275): 65 and 16 of 81 cells. Its data were made with this seed only."""
    return _cut(np.random.RandomState(42).permutation(81), 65)


def cccad_goals(seed):
    """CCCAD: 73 and 8 of 81 cells, by Python's own generator."""
    cells = list(range(81))
    random.Random(seed).shuffle(cells)
    return _cut(np.array(cells), 73)


def dpt_goals(seed):
    """DPT (Lee et al. 2023, arXiv:2306.14892): 80 and 20 of the 100 cells of a room of size 10."""
    return _cut(np.random.RandomState(seed).permutation(100), 80)


def _cut(cells, num_train):
    return cells[:num_train], cells[num_train:]

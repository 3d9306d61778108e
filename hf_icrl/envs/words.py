"""Word actions of DarkRoom: sequences of k atomic moves, and the published sets of them (Sinii et al. 2024).

The catalogue is all 5^k words in lexicographic order, the first move most significant; a word is named by its place in
it. An action set is an ordered list of such places: action a plays the word `ids[a]`. See arXiv:2312.13327, section 5
and appendix F.
"""

from functools import lru_cache

import numpy as np

from hf_icrl.checks import checked_choice, checked_int
from hf_icrl.envs import grid
from hf_icrl.naming import nearest
from hf_icrl.seeding import generator

SETS = ("train", "test", "sliced", "all")
SPLITS = ("random", "displacement")
LONGEST = 5  # 3125 words: exact scores and policies of a room still take no time
_TRAIN_SHARE = 0.4
_HELD_OUT_DISPLACEMENT = 2


def catalogue(word_length):
    """All words, int64 `(5**word_length, word_length)`: row i holds the moves of word i."""
    place = np.arange(grid.NUM_ACTIONS**word_length)
    powers = grid.NUM_ACTIONS ** np.arange(word_length - 1, -1, -1)
    return place[:, None] // powers % grid.NUM_ACTIONS


def net_displacement(moves):
    """Where words `(n, k)` lead in a room without walls: int64 `(n, 2)`, rows down and columns to the right."""
    down = (moves == grid.DOWN).sum(axis=1) - (moves == grid.UP).sum(axis=1)
    right = (moves == grid.RIGHT).sum(axis=1) - (moves == grid.LEFT).sum(axis=1)
    return np.stack([down, right], axis=1)


def published_permutations(seed, num_cells, num_words):
    """The two draws of the published splits, int64 `(num_cells,)` and `(num_words,)`, in their order from one generator.

    The goals come first, so the words depend on the number of cells, too.
    """
    rng = np.random.default_rng(seed)
    return rng.permutation(num_cells), rng.permutation(num_words)


def train_and_test(word_length, seed, split, size):
    """The places in the catalogue of the train words and of the test words; see `word_ids`."""
    num_words = grid.NUM_ACTIONS**word_length
    if split == "random":
        _, order = published_permutations(seed, size * size, num_words)
        train, test = np.split(order, [int(_TRAIN_SHARE * num_words)])
        return train, test
    moved = np.abs(net_displacement(catalogue(word_length))).sum(axis=1)
    return np.flatnonzero(moved != _HELD_OUT_DISPLACEMENT), np.flatnonzero(moved == _HELD_OUT_DISPLACEMENT)


def word_ids(word_length, words, seed, split, size):
    """The action set: int64 `(num_actions,)`, the catalogue's words in the order of the actions.

    Args:
        word_length (`int`): moves of a word, from 1 to 5.
        words (`str` or `list[int]`): "train", "test", "sliced" (as many test words as there are train words), "all"
            (the train words, then the test words), or the words themselves. Words of one move are always all five,
            in the catalogue's order.
        seed (`int`): of the split "random".
        split (`str`): "random" (40 % train words) or "displacement" (test words are those whose net displacement has
            Manhattan length 2; both halves in the catalogue's order).
        size (`int`): side of the room; see `published_permutations`.

    Raises:
        ValueError: a bad value, or "sliced" words of a split that has fewer test than train words.
    """
    if word_length == 1:
        if not (isinstance(words, str) and words == "all"):
            raise ValueError(
                f"words is {words!r}, but word_length is 1: sets of words need word_length > 1 (3 is published)"
            )
        return np.arange(grid.NUM_ACTIONS)
    if not isinstance(words, str):
        return np.array(words, dtype=np.int64)
    train, test = train_and_test(word_length, seed, split, size)
    if words == "sliced" and len(test) < len(train):
        raise ValueError(
            f'words="sliced" takes as many test words as there are train words, but words_split={split!r} has '
            f'{len(train)} train and {len(test)} test words; take words="test"'
        )
    return {"train": train, "test": test, "sliced": test[: len(train)], "all": np.concatenate([train, test])}[words]


@lru_cache(maxsize=65536)
def word_order(seed, num_actions):
    """A task's own order of its action set, a read-only int64 `(num_actions,)`: its action a is the set's `order[a]`."""
    order = generator(seed, "dark_room/word_order").permutation(num_actions).astype(np.int64)
    order.flags.writeable = False
    return order


def checked_word_length(word_length):
    """`word_length` as an int from 1 to 5."""
    length = checked_int(word_length, "word_length", 1)
    if length > LONGEST:
        raise ValueError(f"word_length is {length}; it must be at most {LONGEST} ({grid.NUM_ACTIONS**LONGEST} words)")
    return length


def checked_words(words, word_length):
    """`words` as the name of a set or as a list of different places in the catalogue."""
    if isinstance(words, str):
        if words not in SETS:
            raise ValueError(f"unknown words {words!r}: {nearest(words, SETS)}, or a list of words of the catalogue")
        return words
    try:
        ids = [checked_int(word, "an entry of words", 0) for word in words]
    except TypeError:
        raise ValueError(f"words is {words!r}; it must be one of {SETS} or a list of integers") from None
    num_words = grid.NUM_ACTIONS**word_length
    if not ids or len(set(ids)) < len(ids) or max(ids) >= num_words:
        raise ValueError(
            f"words is {words!r}; it must list at least one word, none twice, each from 0 to {num_words - 1} "
            f"(word_length is {word_length})"
        )
    return ids


def checked_split(split):
    """`split` as "random" or "displacement"."""
    return checked_choice(split, "words_split", SPLITS)

"""The published evaluation sets of DarkRooms with word actions: five action sets times train and held-out goals.

See Headless-AD (Sinii et al. 2024, arXiv:2312.13327), section 5. What it calls "Sliced Test" is "cut_test" here, as in its
code.
"""

import numpy as np

from hf_icrl.counter_random import integers, stream_keys
from hf_icrl.envs import words

# Action set -> (the environment's arguments, what it is).
_ACTIONS = {
    "train": ({"words": "train", "permuted": False}, "the train words"),
    "perm_train": ({"words": "train", "permuted": True}, "the train words, in an order of each task's own"),
    "cut_test": ({"words": "sliced", "permuted": False}, "test words, as many as there are train words"),
    "test": ({"words": "test", "permuted": False}, "the test words"),
    "all": ({"words": "all", "permuted": False}, "the train words, then the test words"),
}
_GOALS = {"train": "goals that were trained on", "test": "held-out goals"}


def evaluation_sets_of_words(env_kwargs):
    """Names and sentences of the sets of a family with these environment arguments; none where actions are no words,
    or words that are listed one by one."""
    if env_kwargs["word_length"] == 1 or not isinstance(env_kwargs["words"], str):
        return {}
    split = [env_kwargs[name] for name in ("word_length", "words_seed", "words_split", "size")]
    train, test = words.train_and_test(*split)
    actions = {name: what for name, (_, what) in _ACTIONS.items() if name != "cut_test" or len(test) >= len(train)}
    return {f"{a}_{g}": f"{what}; {of}" for g, of in _GOALS.items() for a, what in actions.items()}


def evaluation_set_of_words(name, num, seed, train, held_out):
    """One of `evaluation_sets_of_words`: `(arguments that its environment has instead, tasks)`.

    Goals are drawn with replacement, the same ones for every action set: what differs between two sets of the same goals
    is the actions alone.

    Args:
        name (`str`), num (`int`), seed (`int`): which set; task i depends on `(seed, i)`, the kind and the list of goals.
        train, held_out (`list[dict]`): tasks, in the goals of which the set's are found.

    Raises:
        ValueError: there is no task to take goals of, or a goal that should be held out was trained on.
    """
    actions, _, kind = name.rpartition("_")
    goals = {
        which: list(dict.fromkeys(tuple(task["goal"]) for task in tasks))
        for which, tasks in (("train", train), ("test", held_out))
    }
    if not goals[kind]:
        lacking = "tasks that were trained on" if kind == "train" else "held-out tasks"
        raise ValueError(f"the evaluation set {name!r} takes the goals of {lacking}, but there are none")
    shared = [goal for goal in goals["test"] if goal in set(goals["train"])]
    if kind == "test" and shared:
        raise ValueError(
            f"the evaluation set {name!r} is of held-out goals, but {len(shared)} goals, such as {list(shared[0])}, belong "
            'to train and held-out tasks alike: divide the goals, as held_out="headless_ad" does'
        )
    keys = stream_keys(seed, f"dark_room/evaluation_set/{kind}", np.arange(num))
    drawn = np.array(goals[kind])[integers(keys, 0, len(goals[kind]))]
    tasks = [{"goal": goal} for goal in drawn.tolist()]
    instead, _ = _ACTIONS[actions]
    if instead["permuted"]:
        for task, order in zip(tasks, integers(keys, 1, 2**31).tolist(), strict=True):
            task["word_order"] = order
    return instead, tasks

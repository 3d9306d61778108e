"""Published evaluation sets: which there are, of which tasks they are made, and that held-out means held out."""

import numpy as np
import pytest

from hf_icrl.envs.words import word_ids
from hf_icrl.tasks import task_family, task_key

WORDS = {"word_length": 3, "words": "train", "terminate_on_goal": True}
ACTIONS = {"train": 50, "perm_train": 50, "cut_test": 50, "test": 75, "all": 125}


@pytest.mark.parametrize("name", ["bernoulli_bandit", "contextual_bandit"])
def test_bandit_sets_are_the_published_ones_and_the_family_has_as_many_arms(name):
    family = task_family(name, num_arms=20, horizon=30)
    train, held_out = family.split(held_out=10, population={"num": 60, "min_arms": 4})
    known = {task_key(task) for task in [*train, *held_out]}
    assert set(family.evaluation_sets) == set(family.task_sets)
    for which in [*family.evaluation_sets, "num_7"]:
        of, tasks = family.evaluation_set(which, num=12, seed=3, train=train, held_out=held_out)
        most = int(which[4:]) if which.startswith("num_") else 20
        assert of.env_kwargs == {**family.env_kwargs, "num_arms": max(most, 20)}
        for task in tasks:
            of.check_task(task)
        if which == "train":
            assert tasks == train[:12]
            continue
        assert tasks == of.task_set(which, 12, seed=3)
        assert not known & {task_key(task) for task in tasks}
        assert (of.available_actions(tasks).sum(axis=1) == most).all() or most == 20
    small = task_family(name, num_arms=5)
    assert small.evaluation_set("num_5", train=[], held_out=[])[0] is small
    assert small.evaluation_set("train", train=small.sample(2), held_out=[])[1] == small.sample(2)


def test_linear_bandits_have_dpts_set():
    family = task_family("linear_bandit")
    train, held_out = family.split(population={"num": 20})
    assert set(family.evaluation_sets) == {"train", "eval"}
    assert family.evaluation_set("eval", num=5, seed=2, train=train, held_out=held_out) == (
        family,
        family.task_set("eval", 5, 2),
    )


@pytest.mark.parametrize("trained_on", [{}, {"permuted": True}, {"words": "all"}])
def test_ten_sets_of_words(trained_on):
    family = task_family("dark_room", **{**WORDS, **trained_on})
    split = "headless_ad_permuted" if trained_on == {"permuted": True} else "headless_ad"
    train, held_out = family.split(held_out=split)
    goals = {"train": {tuple(t["goal"]) for t in train}, "test": {tuple(t["goal"]) for t in held_out}}
    assert list(family.evaluation_sets) == [f"{a}_{g}" for g in goals for a in ACTIONS]
    drawn = {}
    for name, sentence in family.evaluation_sets.items():
        actions, _, kind = name.rpartition("_")
        assert ("held-out" in sentence) == (kind == "test")
        of, tasks = family.evaluation_set(name, num=40, seed=5, train=train, held_out=held_out)
        assert of.num_actions == ACTIONS[actions]
        for task in tasks:
            of.check_task(task)
        drawn[name] = [tuple(task["goal"]) for task in tasks]
        assert set(drawn[name]) <= goals[kind]
        assert not set(drawn[name]) & goals["train" if kind == "test" else "test"]
        assert tasks == family.evaluation_set(name, num=60, seed=5, train=train, held_out=held_out)[1][:40]
        assert tasks != family.evaluation_set(name, num=40, seed=6, train=train, held_out=held_out)[1]
        if actions == "perm_train":
            assert len({task["word_order"] for task in tasks}) == 40
    # The goals are the same whatever the actions.
    for kind in goals:
        assert len({tuple(drawn[f"{actions}_{kind}"]) for actions in ACTIONS}) == 1
    # They are drawn uniformly: 13 goals, 1300 draws of 100 expected each; chi-square with 12 degrees, 51 has 1e-6.
    many = family.evaluation_set("test_test", num=1300, train=train, held_out=held_out)[1]
    _, counts = np.unique([task["goal"] for task in many], axis=0, return_counts=True)
    assert len(counts) == 13
    assert ((counts - 100) ** 2 / 100).sum() < 51


def test_train_words_and_test_words_are_what_their_sets_say():
    family = task_family("dark_room", **WORDS, words_seed=4)
    split = family.split(held_out="headless_ad")
    ids = {}
    for name in ("train", "cut_test", "test", "all"):
        kwargs = family.evaluation_set(f"{name}_test", train=split[0], held_out=split[1])[0].env_kwargs
        ids[name] = word_ids(3, kwargs["words"], kwargs["words_seed"], kwargs["words_split"], 9).tolist()
    assert not set(ids["train"]) & set(ids["test"])
    assert ids["all"] == ids["train"] + ids["test"]
    assert ids["cut_test"] == ids["test"][:50]


def test_the_split_by_displacement_has_no_sliced_set():
    family = task_family("dark_room", **WORDS, words_split="displacement")
    train, held_out = family.split(held_out="headless_ad")
    assert set(family.evaluation_sets) == {f"{a}_{g}" for a in set(ACTIONS) - {"cut_test"} for g in ("train", "test")}
    assert family.evaluation_set("test_test", train=train, held_out=held_out)[0].num_actions == 36
    with pytest.raises(ValueError, match="unknown evaluation set 'cut_test_test'"):
        family.evaluation_set("cut_test_test", train=train, held_out=held_out)


@pytest.mark.parametrize(
    "family",
    [task_family("dark_room"), task_family("key_to_door"), task_family("dark_room", word_length=2, words=[0, 3, 7])],
    ids=repr,
)
def test_other_families_have_none(family):
    assert family.evaluation_sets == {}
    with pytest.raises(ValueError, match=r"unknown evaluation set 'train'.*there are no valid names"):
        family.evaluation_set("train", train=family.tasks(), held_out=[])


def test_what_cannot_be_made_is_refused():
    rooms, bandits = task_family("dark_room", **WORDS), task_family("bernoulli_bandit")
    train, held_out = rooms.split(held_out="headless_ad")
    for family, name, given, message in [
        (rooms, "tst_test", (train, held_out), "did you mean 'test_test'"),
        (rooms, "test_test", (train, []), "takes the goals of held-out tasks, but there are none"),
        (rooms, "all_train", ([], held_out), "takes the goals of tasks that were trained on, but there are none"),
        (
            rooms,
            "all_test",
            (train, [*held_out, train[3]]),
            r"but 1 goals, such as \[.*\], belong to train and held-out",
        ),
        (bandits, "train", ([], []), "tasks that were trained on, but there are none"),
        (bandits, "invers", ([], []), "did you mean 'inverse'"),
        (bandits, "num_0", ([], []), "unknown evaluation set 'num_0'"),
    ]:
        with pytest.raises(ValueError, match=message):
            family.evaluation_set(name, train=given[0], held_out=given[1])
    with pytest.raises(ValueError, match="num is 0"):
        rooms.evaluation_set("all_test", num=0, train=train, held_out=held_out)

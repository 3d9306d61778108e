"""Several sets of tasks at once: each report is what its rows alone would give, and nothing trained passes as held out."""

import io
import json

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hf_icrl import HeadlessADConfig, HeadlessADModel, evaluate, evaluate_sets, rollout, task_family
from hf_icrl.envs.joint import JointVectorEnv
from hf_icrl.rollouts import Report, SetReports
from hf_icrl.rollouts.curves import spread
from hf_icrl.rollouts.evaluation_sets import _set_key
from hf_icrl.rollouts.report import REQUIRED
from hf_icrl.rollouts.set_pictures import regret_png, sets_png, success_png

TRUNK = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
BANDITS = task_family("bernoulli_bandit", num_arms=6, horizon=12)
WORDS = task_family("dark_room", size=4, horizon=4, terminate_on_goal=True, word_length=2, words="train")


def headless(observation_space, num_actions, trunk=TRUNK, **config):
    state = torch.random.get_rng_state()
    torch.random.manual_seed(0)
    action_space = {"type": "Discrete", "n": num_actions}
    model = HeadlessADModel(
        HeadlessADConfig(
            observation_space=observation_space,
            action_space=action_space,
            context_length=12,
            action_dim=16,
            trunk_config=trunk,
            # Large weights, so that what a row has seen really changes what it does.
            initializer_range=1.0,
            **config,
        )
    )
    torch.random.set_rng_state(state)
    return model


@pytest.fixture(scope="module")
def bandit_model():
    return headless({"type": "Discrete", "n": 1}, 6)


@pytest.fixture(scope="module")
def bandit_sets():
    train, held_out = BANDITS.split(held_out=4, population={"num": 12, "min_arms": 2})
    sets = {
        name: BANDITS.evaluation_set(name, num=num, train=train, held_out=held_out)
        for name, num in [("train", 3), ("num_4", 2), ("num_9", 5)]
    }
    return {**sets, "held_out": (BANDITS, held_out)}


@pytest.fixture(scope="module")
def reports(bandit_model, bandit_sets):
    return evaluate_sets(bandit_model, bandit_sets, episodes=2, seeds=3, seed=7, command="hf-icrl evaluate")


def assert_same_results(one, other):
    """But for what is not about this set alone; entropies are of logits, which a batch's size may round differently."""
    apart = {"command", "wall_clock_seconds", "rolled_out_with", "entropy", "entropy_curve"}
    assert {k: v for k, v in one.values.items() if k not in apart} == {
        k: v for k, v in other.values.items() if k not in apart
    }
    assert one["entropy"] == pytest.approx(other["entropy"], rel=1e-5)


def test_each_set_has_its_report(reports, bandit_sets):
    assert list(reports) == list(bandit_sets)
    assert reports.skipped == {}
    for name, (family, tasks) in bandit_sets.items():
        report = reports[name]
        assert isinstance(report, Report)
        assert set(REQUIRED) <= set(report.values)
        assert (report["evaluation_set"], report["tasks"], report["env_kwargs"]) == (name, tasks, family.env_kwargs)
        assert np.shape(report["returns_per_seed"]) == (3, len(tasks), 2)
        assert len(report["regret_curve"]) == 24
        assert report["rolled_out_with"] == list(bandit_sets)
    assert reports["num_9"]["env_kwargs"]["num_arms"] == 9


def test_a_set_does_not_depend_on_which_others_there_are(reports, bandit_model, bandit_sets):
    for names, seeds in [(["num_9"], 3), (["num_4", "train"], 2)]:
        some = evaluate_sets(bandit_model, {n: bandit_sets[n] for n in names}, episodes=2, seeds=seeds, seed=7)
        for name in names:
            assert some[name]["returns_per_seed"] == reports[name]["returns_per_seed"][:seeds]
    # Nor on how many tasks it has.
    family, tasks = bandit_sets["num_9"]
    fewer = evaluate_sets(bandit_model, {"num_9": (family, tasks[:2])}, episodes=2, seeds=1, seed=7)["num_9"]
    assert fewer["returns_per_seed"][0] == reports["num_9"]["returns_per_seed"][0][:2]
    # The documented row ids give the same, and two sets of the same tasks differ.
    ids = [_set_key("num_9") * 2**43 + 2**31 + 4]
    alone = rollout(bandit_model, family.make_vec(tasks[4:]), 2, seed=7, row_ids=ids)
    np.testing.assert_array_equal(alone.returns[0], reports["num_9"]["returns_per_seed"][1][4])
    renamed = evaluate_sets(bandit_model, {"other": (family, tasks)}, episodes=2, seeds=3, seed=7)["other"]
    assert renamed["returns_per_seed"] != reports["num_9"]["returns_per_seed"]


def test_sets_may_be_rolled_out_one_batch_after_another(bandit_model, bandit_sets):
    counts = {"episodes": 2, "seeds": 2, "seed": 7}
    together = evaluate_sets(bandit_model, bandit_sets, **counts)
    assert {tuple(one["rolled_out_with"]) for one in together.values()} == {tuple(bandit_sets)}
    rows = {name: 2 * len(tasks) for name, (_, tasks) in bandit_sets.items()}
    for most in (1, sum(rows.values()) - 1):
        parts = evaluate_sets(bandit_model, bandit_sets, max_rows=most, **counts)
        assert list(parts) == list(bandit_sets)
        for name, report in parts.items():
            assert_same_results(report, together[name])
            with_it = sum(rows[other] for other in report["rolled_out_with"])
            assert with_it <= max(most, rows[name]) < sum(rows.values())
    with pytest.raises(ValueError, match="max_rows is 0; it must be at least 1, or None"):
        evaluate_sets(bandit_model, bandit_sets, max_rows=0)


def test_dropout_when_acting_is_an_option_that_the_report_tells(bandit_sets):
    trunk = {**TRUNK, "attention_dropout": 0.7, "initializer_range": 0.5}
    model = headless({"type": "Discrete", "n": 1}, 6, trunk=trunk)
    family, tasks = bandit_sets["held_out"]
    counts = {"episodes": 2, "seeds": 3, "seed": 7}
    off = evaluate(model, family, tasks, **counts)
    on = evaluate(model, family, tasks, **counts, act_with_dropout=True)
    assert (off["act_with_dropout"], on["act_with_dropout"]) == (False, True)
    assert on["returns_per_seed"] != off["returns_per_seed"]
    assert "dropout while acting" in on.table()
    assert "dropout while acting" not in off.table()
    assert model.config.act_with_dropout is False
    of_sets = evaluate_sets(model, {"held_out": (family, tasks)}, **counts, act_with_dropout=True)
    assert_same_results(of_sets["held_out"], on)
    assert of_sets.summary()["sets"]["held_out"]["act_with_dropout"] is True
    with pytest.raises(ValueError, match=r"trained without dropout .*'attention_dropout': 0.0"):
        evaluate(headless({"type": "Discrete", "n": 1}, 6), family, tasks, **counts, act_with_dropout=True)
    # A model that has it on can be measured without, and nothing of a failed evaluation stays.
    model.config.act_with_dropout = True
    assert_same_results(evaluate(model, family, tasks, **counts, act_with_dropout=False), off)
    with pytest.raises(ValueError, match="act_with_dropout is 'no'; it must be true or false"):
        evaluate(model, family, tasks, **counts, act_with_dropout="no")
    assert model.config.act_with_dropout is True


def test_held_out_is_what_evaluate_finds(reports, bandit_model, bandit_sets):
    alone = evaluate(bandit_model, *bandit_sets["held_out"], episodes=2, seeds=3, seed=7)
    assert_same_results(alone, reports["held_out"])


def test_episodes_of_different_lengths_and_sets_without_regret():
    """A row that waits for the slowest set plays on; its report counts its own episodes alone."""
    model = headless({"type": "Discrete", "n": 16}, WORDS.num_actions)
    train, held_out = WORDS.split(held_out=4)
    sets = {
        name: WORDS.evaluation_set(name, num=3, train=train, held_out=held_out)
        for name in ("train_train", "perm_train_test", "all_test")
    }
    together = evaluate_sets(model, sets, episodes=6, seeds=2)
    for name, given_set in sets.items():
        alone = evaluate_sets(model, {name: given_set}, episodes=6, seeds=2)[name]
        assert_same_results(alone, together[name])
        assert together[name].get("regret") is None
        # The replay plays the same episodes.
        np.testing.assert_array_equal(together[name].replay.actions, alone.replay.actions)
        assert together[name].replay.video() is not None
    assert success_png(together) is not None
    assert regret_png(together) is None


def test_regret_of_a_set_is_told_beside_one_that_knows_none(bandit_model):
    class Silent(type(BANDITS)):
        """Bandits that keep their regret to themselves."""

        def make_vec(self, tasks, **overrides):
            envs = super().make_vec(tasks, **overrides)
            reset, step = envs.reset, envs.step
            envs.reset = lambda **kwargs: _without_regret(reset(**kwargs))
            envs.step = lambda actions: _without_regret(step(actions))
            return envs

    def _without_regret(result):
        infos = result[-1]
        for part in (infos, infos.get("final_info", {})):
            part.pop("regret", None)
            part.pop("_regret", None)
        return result

    tasks = BANDITS.sample(2)
    sets = {"silent": (Silent(num_arms=6, horizon=12), tasks), "plain": (BANDITS, tasks)}
    reports = evaluate_sets(bandit_model, sets, episodes=1, seeds=1)
    assert reports["silent"].get("regret") is None
    assert len(reports["plain"]["regret_curve"]) == 12


def test_sets_that_a_fixed_number_of_actions_does_not_fit_are_skipped(make_model, bandit_sets):
    model = make_model({"type": "Discrete", "n": 1}, {"type": "Discrete", "n": 6})
    reports = evaluate_sets(model, bandit_sets, episodes=1, seeds=1)
    assert list(reports) == ["train", "num_4", "held_out"]
    assert reports.skipped == {"num_9": "it has 9 actions, and this model acts with exactly 6"}
    assert "skipped num_9: it has 9 actions" in reports.table()
    with pytest.raises(ValueError, match=r"can act in none of the sets num_9; of 'num_9': it has 9 actions"):
        evaluate_sets(model, {"num_9": bandit_sets["num_9"]}, episodes=1, seeds=1)
    padded = make_model({"type": "Discrete", "n": 1}, {"type": "Discrete", "n": 8}, padded_spaces=True)
    assert evaluate_sets(padded, bandit_sets, episodes=1, seeds=1).skipped == {
        "num_9": "it has 9 actions, and this model acts with at most 8"
    }


def test_a_model_that_reads_action_sets_still_wants_its_observations(bandit_model):
    rooms = task_family("dark_room", size=3)
    with pytest.raises(ValueError, match=r"made for the observation space .*'n': 1}, but the environments have .*9"):
        evaluate_sets(bandit_model, {"rooms": (rooms, rooms.tasks())}, episodes=1, seeds=1)
    contextual = task_family("contextual_bandit", num_arms=6, horizon=12)
    sets = {"a": (BANDITS, BANDITS.sample(1)), "b": (contextual, contextual.sample(1))}
    with pytest.raises(ValueError, match="only environments that show the same can stand side by side"):
        evaluate_sets(bandit_model, sets, episodes=1, seeds=1)


def test_nothing_that_was_trained_on_passes_as_held_out(bandit_model, bandit_sets, tmp_path):
    bandit_model.save_pretrained(tmp_path)
    environment = {
        "family": "bernoulli_bandit",
        "kwargs": {"num_arms": 6, "horizon": 12},
        "population": {"num": 12, "min_arms": 2},
        "held_out": 4,
        "validation": 2,
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"environment": environment}))
    short = {"episodes": 1, "seeds": 1}
    assert len(evaluate_sets(tmp_path, bandit_sets, **short)) == 4
    trained = evaluate(tmp_path, evaluation_set="train", **short)["tasks"]
    validation = evaluate(tmp_path, evaluation_set="validation", **short)["tasks"]
    for name in ("fresh", "train_on", "validation"):
        with pytest.raises(ValueError, match=f"may have been trained on it.* the set '{name}' end with 'train'"):
            evaluate_sets(tmp_path, {name: (BANDITS, trained)}, **short)
    with pytest.raises(ValueError, match="may have been chosen on it"):
        evaluate_sets(tmp_path, {"fresh": (BANDITS, validation)}, **short)
    allowed = {"my_train": (BANDITS, trained + validation), "validation": (BANDITS, validation)}
    assert list(evaluate_sets(tmp_path, allowed, **short)) == ["my_train", "validation"]


@pytest.mark.parametrize(
    ("sets", "options", "message"),
    [
        ({}, {}, "there are no sets"),
        ({"a": (BANDITS, [])}, {}, "the set 'a' has no tasks"),
        ({"../a": (BANDITS, BANDITS.sample(1))}, {}, "a set is called '../a'"),
        ({"a": (BANDITS, BANDITS.sample(1))}, {"episodes": 0}, "episodes is 0"),
        ({"a": (BANDITS, BANDITS.sample(1))}, {"seeds": 5000}, "seeds is 5000; .* seeds at most 4096"),
    ],
)
def test_bad_arguments_are_named(bandit_model, sets, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_sets(bandit_model, sets, **options)


def test_saved_they_are_a_report_each_a_summary_and_pictures(reports, tmp_path):
    (tmp_path / "success.png").write_bytes(b"of an older evaluation")
    reports.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "evaluation_sets.json",
        "evaluations",
        "regret.png",
        "sets.png",
    ]
    for name, report in reports.items():
        assert Report.from_file(tmp_path / "evaluations" / name).values == report.values
    text = (tmp_path / "evaluation_sets.json").read_text()
    summary = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert list(summary["sets"]) == list(reports)
    assert summary["command"] == "hf-icrl evaluate"
    one = summary["sets"]["num_9"]
    assert (one["tasks"], one["available_actions"], one["env_kwargs"]["num_arms"]) == (5, 9, 9)
    assert one["regret"] == reports["num_9"]["regret"]
    assert one["random_return"] == pytest.approx(np.mean(reports["num_9"]["random_return"]))
    table = reports.table().splitlines()
    assert table[0].startswith("hf_icrl/BernoulliBandit-v0: 4 evaluation sets x 3 seeds, 2 episodes in one context")
    assert [line.split()[0] for line in table[1:]] == ["set", *reports]
    assert f"{reports['num_9']['regret']['mean']:.2f}" in table[4]
    assert "data:image/png" in reports._repr_html_()


def with_values(reports, num_sets, **values):
    """So many sets like the first one of `reports`, with other values."""
    first = next(iter(reports.values())).values
    return SetReports({f"set_{i:02d}": Report({**first, **values}) for i in range(num_sets)})


@pytest.mark.parametrize("num_sets", [1, 6, 7, 25])
def test_pictures_can_be_drawn_of_few_and_of_many_sets(reports, num_sets):
    many = with_values(
        reports,
        num_sets,
        success_curve=[0.2] * 50,
        success=0.2,
        regret_normalized={"mean": 0.9, "ci95": None, "worst": 0.1},
        source="thompson",
    )
    for draw in (sets_png, regret_png, success_png):
        with Image.open(io.BytesIO(draw(many))) as image:
            assert image.size[0] == 1800
            # Room for a line of text for each.
            assert image.size[1] > 42 * num_sets
    plain = with_values(reports, num_sets, normalized_return=None, oracle_return=[None], random_return=[None])
    assert sets_png(plain)
    assert regret_png(plain)
    bare = with_values(plain, 1)
    del bare["set_00"].values["regret"]
    assert "return" in bare.rows()[0]
    assert sets_png(bare)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0, 0.05))
def test_labels_are_spread_and_no_farther_than_needed(ends, gap):
    ends = np.sort(ends)
    places = spread(ends, gap)
    assert (np.diff(places) >= gap - 1e-9).all()
    assert places[0] >= -1e-9
    assert places[-1] <= 1 + 1e-9
    if (np.diff(ends) >= gap).all():
        np.testing.assert_allclose(places, ends, atol=1e-9)


def test_the_environments_are_closed_when_a_rollout_fails(bandit_model, bandit_sets, monkeypatch):
    closed = []
    monkeypatch.setattr(JointVectorEnv, "step", lambda self, actions: 1 / 0)
    monkeypatch.setattr(JointVectorEnv, "close_extras", lambda self, **kwargs: closed.append(self))
    with pytest.raises(ZeroDivisionError):
        evaluate_sets(bandit_model, bandit_sets, episodes=1, seeds=1)
    assert len(closed) == 1

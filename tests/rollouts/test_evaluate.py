"""The report: what it says, that it can be read back, and that its pictures and its video are sound."""

import dataclasses
import io
import json
import logging
import resource
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hf_icrl import evaluate, rollout
from hf_icrl.envs.dark_room_tasks import DarkRoomFamily
from hf_icrl.histories import write_info
from hf_icrl.rollouts import Report
from hf_icrl.rollouts.replay import encode_mp4
from hf_icrl.rollouts.report import REQUIRED
from hf_icrl.rollouts.reporting import median_task
from hf_icrl.sources import make_source
from hf_icrl.sources.reference import source_reference
from hf_icrl.tasks import task_family, validation_split


@pytest.fixture(scope="module")
def report(model, family):
    tasks = family.split(held_out=4)[1]
    return evaluate(model, family, tasks, episodes=6, seeds=3, seed=1, last_episodes=2, command="hf-icrl evaluate")


class FamilyWithoutAnchors(DarkRoomFamily):
    """A family that cannot tell what is good."""

    def oracle_return(self, task):
        return None

    def random_return(self, task):
        return None


def test_the_report_says_what_was_measured(report, model, family):
    assert set(REQUIRED) <= set(report.values)
    per_seed = np.array(report["returns_per_seed"])
    assert per_seed.shape == (3, 4, 6)
    np.testing.assert_allclose(report["returns"], per_seed.mean(axis=0))
    oracle, random = (np.array(report[key]) for key in ("oracle_return", "random_return"))
    normalized = (per_seed[..., -2:].mean(axis=(0, 2)) - random) / (oracle - random)
    assert report["normalized_return"]["mean"] == pytest.approx(normalized.mean())
    assert report["normalized_return"]["worst"] == pytest.approx(normalized.min())
    low, high = report["normalized_return"]["ci95"]
    assert low <= normalized.mean() <= high
    np.testing.assert_allclose(report["normalized_return_per_task"], normalized)
    curve = (per_seed.mean(axis=0).T - random) / (oracle - random)
    np.testing.assert_allclose(report["normalized_curve"], curve.mean(axis=1))
    assert report["env_id"] == family.env_id
    assert report["env_kwargs"] == family.env_kwargs
    assert (report["context_length"], report["overflow"], report["refill_keep"]) == (24, "refill", 12)
    assert report["mean_episode_length"] == 7
    assert report["versions"]["transformers"]
    assert report["command"] == "hf-icrl evaluate"
    assert report["model"] is None  # it was never saved
    # The report is what plain rollouts with the documented row ids give.
    alone = rollout(model, family.make_vec([report["tasks"][2]]), 6, seed=1, row_ids=[1 * 2**31 + 2])
    np.testing.assert_array_equal(alone.returns[0], per_seed[1, 2])


def test_the_report_says_what_was_tried(report, model, family):
    rows = [seed * 2**31 + task for seed in range(3) for task in range(4)]
    envs = family.make_vec(report["tasks"] * 3)
    history = rollout(model, envs, 6, seed=1, row_ids=rows, record=True).history
    different = [len(set(actions.tolist())) for actions in history["actions"]]
    assert report["distinct_actions"] == pytest.approx(np.mean(different))
    np.testing.assert_allclose(report["distinct_actions_per_task"], np.reshape(different, (3, 4)).mean(axis=0))
    assert report["tried_share"]["all"][-1] == pytest.approx(np.mean(different) / 5)
    assert len(report["tried_share"]["all"]) == len(report["entropy_curve"]) == 6
    assert report["entropy"] == pytest.approx(history["entropies"].mean())
    assert 0 < report["entropy"] < np.log(5)
    assert "success" not in report.values  # the goal pays on every step
    assert "source" not in report.values
    row = next(line for line in report.table().splitlines() if line.startswith("distinct actions tried"))
    assert row.endswith(f" {np.mean(different):.1f}  of 5")


def test_the_report_compares_a_bandit_model_with_its_source(make_model):
    family = task_family("bernoulli_bandit", num_arms=6, horizon=15)
    tasks = family.sample(8, min_arms=3)
    model = make_model({"type": "Discrete", "n": 1}, {"type": "Discrete", "n": 6}, token_layout="fused")
    reference = source_reference(make_source("thompson"), family, tasks, episodes=2, repeats=20)
    options = {"episodes": 2, "seeds": 3, "evaluation_set": "train"}
    with_source = evaluate(model, family, tasks, reference=reference, **options)
    without = evaluate(model, family, tasks, **options)
    assert with_source.values == {
        **without.values,
        "wall_clock_seconds": with_source["wall_clock_seconds"],
        **{name: with_source[name] for name in ("source", "source_return", "source_regret", "source_regret_curve")},
        "regret_normalized": with_source["regret_normalized"],
    }
    random = 2 * np.subtract(with_source["oracle_return"], with_source["random_return"]).mean()
    expected = (random - with_source["regret"]["mean"]) / (random - np.mean(with_source["source_regret"]))
    assert with_source["regret_normalized"]["mean"] == pytest.approx(expected)
    row = next(line for line in with_source.table().splitlines() if line.startswith("normalised regret, source"))
    assert f"{expected:.3f}  0 is random, 1 is the source; 95 % interval" in row
    assert "regret, source" not in without.table()
    assert with_source.curve() != without.curve()  # one more line
    assert with_source["available_actions"] == np.mean([len(task["means"]) for task in tasks])


def test_episodes_that_succeed_or_fail_are_reported_as_such(make_model):
    family = task_family("dark_room", size=3, horizon=4, terminate_on_goal=True)
    model = make_model({"type": "Discrete", "n": 9}, {"type": "Discrete", "n": 5})
    report = evaluate(model, family, family.tasks(), episodes=5, seeds=4, last_episodes=3, evaluation_set="train")
    returns = np.array(report["returns_per_seed"])
    assert report["success"] == pytest.approx(returns[..., 2:].mean())
    assert report["success_curve"] == returns.mean(axis=(0, 1)).round(6).tolist()
    assert f"{100 * report['success']:.1f} %" in report.table()


def test_more_seeds_do_not_change_the_first_ones(report, model, family):
    fewer = evaluate(model, family, report["tasks"], episodes=6, seeds=1, seed=1)
    assert fewer["returns_per_seed"][0] == report["returns_per_seed"][0]


def test_overrides_are_reported(model, family):
    report = evaluate(
        model, family, family.tasks()[:1], episodes=2, seeds=1, temperature=0.5, refill_keep=3, evaluation_set="train"
    )
    assert (report["temperature"], report["refill_keep"], report["last_episodes"]) == (0.5, 3, 2)
    assert report["normalized_return"]["ci95"] is None
    assert report["episodes_to_90"] == {"median": None, "share": None}
    assert "1 train task x 1 seed, 2 episodes" in report.table()


def test_saved_and_read_back_it_is_the_same(report, tmp_path):
    report.save(tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["learning_curve.png", "replay.mp4", "report.json"]
    text = (tmp_path / "a" / "report.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")) == report.values
    assert max(map(len, text.splitlines())) < 2000
    for path in (tmp_path / "a", tmp_path / "a" / "report.json"):
        again = Report.from_file(path)
        assert again.values == report.values
        assert again.table() == report.table()
    # The video cannot be drawn from numbers, so it is taken along.
    again.save(tmp_path / "b")
    for name in ("replay.mp4", "report.json", "learning_curve.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_is_no_report_is_refused_by_name(report, tmp_path):
    with pytest.raises(FileNotFoundError, match="no report at"):
        Report.from_file(tmp_path)
    path = tmp_path / "report.json"
    path.write_text('{"env_id": "x"}')
    with pytest.raises(ValueError, match="no evaluation report: it has no 'env_kwargs'"):
        Report.from_file(path)
    path.write_text("[1]")
    with pytest.raises(ValueError, match="JSON list"):
        Report.from_file(path)
    path.write_text('{"env_id": ')
    with pytest.raises(ValueError, match="not valid JSON"):
        Report.from_file(path)


def boxes(content):
    """The kinds of an MP4 file's top-level boxes, in order."""
    kinds, at = [], 0
    while at < len(content):
        size, kind = struct.unpack(">I4s", content[at : at + 8])
        kinds.append(kind)
        at += size
    return kinds


def test_the_video_plays_in_a_browser_and_shows_three_episodes(report):
    content = report.video()
    kinds = boxes(content)
    assert kinds[0] == b"ftyp"
    assert kinds.index(b"moov") < kinds.index(b"mdat"), "playing could not begin before the file is whole"
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    height, width = pictures[0].shape[:2]
    assert height % 2 == width % 2 == 0
    assert len(pictures) >= 8  # a frame before each of the 7 steps and one after the last
    assert not np.array_equal(pictures[0], pictures[-1])
    assert report.replay.episodes == [0, 2, 5]


def test_the_video_needs_no_temporary_folder_and_may_be_long(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    pictures = [np.full((2, 2, 3), i % 256, np.uint8) for i in range(3000)]
    content = encode_mp4(iter(pictures), len(pictures), 6)
    assert boxes(content).index(b"moov") < boxes(content).index(b"mdat")
    with av.open(io.BytesIO(content)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3000


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9, unique=True))
def test_the_video_shows_the_median_task(finals):
    n = len(finals)
    returns = np.repeat(np.array(finals)[None, :, None], 3, axis=2)
    chosen = finals[median_task(returns, [1.0] * n, [0.0] * n, 2)]
    assert sum(x < chosen for x in finals) == (n - 1) // 2
    assert finals[median_task(returns, [None] * n, [None] * n, 2)] == chosen
    # It is the score that counts, not the return.
    scaled = returns * np.arange(1, n + 1)[None, :, None]
    assert finals[median_task(scaled, np.arange(1.0, n + 1), [0.0] * n, 2)] == chosen


def test_an_environment_that_does_not_repeat_itself_gets_no_video(report, tmp_path, caplog):
    report.save(tmp_path)
    other = Report(report.values, dataclasses.replace(report.replay, returns=report.replay.returns + 1))
    with caplog.at_level(logging.WARNING):
        other.save(tmp_path)
    assert "does not repeat itself" in caplog.text
    # The old video would belong to another report.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["learning_curve.png", "report.json"]


def test_an_unwritable_folder_is_one_clear_error_and_changes_nothing(report, tmp_path):
    target = tmp_path / "file"
    target.write_text("mine")
    with pytest.raises(OSError, match="cannot write"):
        report.save(target / "report")
    assert target.read_text() == "mine"


def test_a_full_disk_leaves_the_old_report_whole(report, tmp_path):
    report.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    newer = Report({**report.values, "note": "newer"}, report.replay)
    # The smaller files still fit, the curve does not.
    limit = max(len(before["report.json"]), len(before["replay.mp4"])) + 5000
    assert limit < len(before["learning_curve.png"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(OSError, match=r"cannot write .*learning_curve\.png"):
            newer.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def png_size(content):
    with Image.open(io.BytesIO(content)) as image:
        return image.size


@pytest.mark.parametrize(("tasks", "episodes"), [(1, 1), (1, 3), (3, 2), (5, 40)])
@pytest.mark.parametrize("anchored", [True, False])
def test_the_curve_can_always_be_drawn(report, tasks, episodes, anchored):
    from hf_icrl.rollouts.curves import learning_curve_png

    anchors = [1.0] * tasks if anchored else [None] * tasks
    values = {
        **report.values,
        "tasks": [{"goal": [0, 0]}] * tasks,
        "returns": np.random.default_rng(0).random((tasks, episodes)).tolist(),
        "oracle_return": anchors,
        "random_return": [None if a is None else a / 10 for a in anchors],
        "normalized_return": report["normalized_return"] if anchored else None,
        "last_episodes": min(2, episodes),
    }
    assert png_size(learning_curve_png(Report(values))) == (1600, 920)


def test_a_family_that_cannot_tell_gives_null_and_the_report_says_so(model, tmp_path):
    family = FamilyWithoutAnchors(size=4, horizon=7)
    report = evaluate(model, family, family.tasks()[:3], episodes=6, seeds=2)
    assert report["normalized_return"] is None
    assert report["normalized_curve"] is None
    assert report["oracle_return"] == report["random_return"] == [None] * 3
    assert "knows no oracle or random return" in report.table()
    report.save(tmp_path)
    assert Report.from_file(tmp_path).values == report.values
    assert len(list(tmp_path.iterdir())) == 3


def test_it_shows_itself(report):
    text = str(report)
    assert text.startswith("hf_icrl/DarkRoom-v0: 4 held-out tasks x 3 seeds, 6 episodes in one context")
    for name in ("first episode", "last 2 episodes", "oracle", "random", "worst task", "95 % interval", "wall-clock"):
        assert name in text
    html = report._repr_html_()
    assert "data:image/png;base64,iVBOR" in html
    assert "data:video/mp4;base64," in html


def save_with_recipe(model, folder, **environment):
    model.save_pretrained(folder)
    recipe = {"environment": {"family": "dark_room", "kwargs": {"size": 4, "horizon": 7}, **environment}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))


def test_environment_and_split_come_from_the_recipe_beside_the_model(model, family, tmp_path):
    save_with_recipe(model, tmp_path, split_seed=3, held_out=5, validation=2)
    short = {"episodes": 1, "seeds": 1}
    train, held_out = family.split(seed=3, held_out=5)
    found = evaluate(str(tmp_path), **short)
    assert found["tasks"] == held_out
    assert (found["env_kwargs"], found["model"]) == (family.env_kwargs, str(tmp_path))
    assert evaluate(tmp_path, "dark_room", **short)["tasks"] == held_out
    validation = evaluate(tmp_path, evaluation_set="validation", **short)["tasks"]
    assert len(validation) == 2
    rest = evaluate(tmp_path, evaluation_set="train", **short)["tasks"]
    assert sorted(map(str, rest + validation)) == sorted(map(str, train))
    # What the caller says counts more than the recipe.
    assert evaluate(tmp_path, family, held_out[:1], **short)["tasks"] == held_out[:1]
    # A family with other arguments than the recipe's has its own split.
    other = DarkRoomFamily(size=4, horizon=8)
    assert evaluate(tmp_path, other, **short)["tasks"] == other.split()[1]


def test_without_a_recipe_one_has_to_say_where_to_act(model, family, tmp_path):
    with pytest.raises(ValueError, match=r"no recipe\.yaml beside it .* pass the task family"):
        evaluate(model)
    # Nor can tasks be called held-out when nobody knows what the model was trained on, unless the caller does.
    with pytest.raises(ValueError, match=r"says which tasks it was trained on, .* held_out tasks: pass tasks="):
        evaluate(model, family)
    assert evaluate(model, family, family.tasks()[:1], episodes=1, seeds=1)["evaluation_set"] == "held_out"
    with pytest.raises(ValueError, match="evaluation_set is 'test' and no tasks were given"):
        evaluate(model, family, evaluation_set="test")
    with pytest.raises(ValueError, match="episodes is 0 and seeds is 10"):
        evaluate(model, family, episodes=0)
    model.save_pretrained(tmp_path)
    (tmp_path / "recipe.yaml").write_text("environment: 3\n")
    with pytest.raises(ValueError, match="it is no recipe"):
        evaluate(tmp_path)


def save_with_record(model, folder, family, /, **record):
    model.save_pretrained(folder)
    train, held_out = family.split(seed=7, held_out=5)
    train, validation = validation_split(train, 2, seed=7)
    tasks = {"train": train, "validation": validation, "held_out": held_out}
    own = {"family": family.name, "env_id": family.env_id, "env_kwargs": family.env_kwargs, "tasks": tasks}
    write_info(folder, {**own, "collected_on": "train", **record})
    return tasks


SHORT = {"episodes": 1, "seeds": 1}


def test_the_record_of_the_data_says_which_tasks_are_held_out(model, family, tmp_path):
    tasks = save_with_record(model, tmp_path, family)
    # A recipe with another split beside it: what was really trained on counts.
    recipe = {"environment": {"family": "dark_room", "kwargs": {"size": 4, "horizon": 7}, "held_out": 3}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    for side, expected in tasks.items():
        assert evaluate(tmp_path, evaluation_set=side, **SHORT)["tasks"] == expected
    found = evaluate(tmp_path, "dark_room", **SHORT)
    assert (found["tasks"], found["env_kwargs"]) == (tasks["held_out"], family.env_kwargs)


@pytest.mark.parametrize("beside", ["record", "recipe"])
def test_what_was_trained_or_chosen_on_is_not_called_held_out(model, family, tmp_path, beside):
    tasks = save_with_record(model, tmp_path, family)
    if beside == "recipe":
        (tmp_path / "history_info.json").unlink()
        save_with_recipe(model, tmp_path, split_seed=7, held_out=5, validation=2)
    for side in ("train", "validation"):
        task = tasks[side][-1]
        with pytest.raises(ValueError, match=f"not held out.*evaluation_set='{side}'") as error:
            # A tuple and a list are the same task.
            evaluate(tmp_path, family, [tasks["held_out"][0], {"goal": tuple(task["goal"])}], **SHORT)
        assert str(tuple(task["goal"])) in str(error.value)
        assert evaluate(tmp_path, family, [task], evaluation_set=side, **SHORT)["tasks"] == [task]
    assert evaluate(tmp_path, family, tasks["held_out"][:1], **SHORT)["tasks"] == tasks["held_out"][:1]
    # The same goals in a larger room are other tasks.
    other = DarkRoomFamily(size=4, horizon=8)
    assert evaluate(tmp_path, other, tasks["train"][:1], **SHORT)["tasks"] == tasks["train"][:1]
    with pytest.raises(ValueError, match=r"was trained in .*'horizon': 7.* no train tasks"):
        evaluate(tmp_path, other, evaluation_set="train")


def test_a_model_trained_on_the_held_out_tasks_holds_out_the_others(model, family, tmp_path):
    tasks = save_with_record(model, tmp_path, family, collected_on="held_out")
    with pytest.raises(ValueError, match="not held out"):
        evaluate(tmp_path, family, tasks["held_out"], **SHORT)
    assert evaluate(tmp_path, **SHORT)["tasks"] == tasks["train"]


@pytest.mark.parametrize("beside", ["record", "recipe"])
def test_of_a_mixture_the_recipe_says_where_to_evaluate_and_all_parts_what_was_trained_on(model, tmp_path, beside):
    sections = [
        {"family": "dark_room", "kwargs": {"size": 4, "horizon": h}, "held_out": 5, "split_seed": 7} for h in (6, 7)
    ]
    first, second = (DarkRoomFamily(**section["kwargs"]) for section in sections)
    train, held_out = first.split(seed=7, held_out=5)
    model.save_pretrained(tmp_path)
    if beside == "record":
        part = {"tasks": {"train": train, "validation": [], "held_out": held_out}, "collected_on": "train"}
        parts = [{"family": f.name, "env_id": f.env_id, "env_kwargs": f.env_kwargs, **part} for f in (first, second)]
        write_info(tmp_path, {"mixture": parts})
    recipe = {"environment": sections[1], "mixture": {"parts": [{"name": "a", "environment": sections[0]}]}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    found = evaluate(tmp_path, **SHORT)
    assert (found["env_kwargs"]["horizon"], found["tasks"]) == (7, held_out)
    for family in (first, second):
        assert evaluate(tmp_path, family, **SHORT)["tasks"] == held_out
        with pytest.raises(ValueError, match="not held out"):
            evaluate(tmp_path, family, train[:1], **SHORT)


def test_imported_data_say_what_was_trained_on_but_not_where_to_act(model, family, tmp_path):
    tasks = save_with_record(model, tmp_path, family, family=None, env_kwargs={})
    with pytest.raises(ValueError, match=r"trained on imported data of hf_icrl/DarkRoom-v0.* no task family"):
        evaluate(tmp_path)
    with pytest.raises(ValueError, match="not held out"):
        evaluate(tmp_path, family, tasks["train"][:1], **SHORT)
    assert evaluate(tmp_path, family, tasks["held_out"], **SHORT)["tasks"] == tasks["held_out"]
    save_with_record(model, tmp_path, family, family=None, env_id="Room-v0", env_kwargs={})
    with pytest.raises(ValueError, match="nobody knows which tasks are held out"):
        evaluate(tmp_path, family, **SHORT)


def test_the_recipe_of_a_model_from_the_hub_is_found_in_the_cache(model, family, tmp_path):
    # The cache as huggingface_hub lays it out after a download; nothing may be fetched.
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "hub" / "models--alice--agent"
    save_with_recipe(model, repo / "snapshots" / commit, held_out=[{"goal": [3, 1]}])
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    code = (
        "import torch, hf_icrl; torch.set_num_threads(1)\n"
        "print('tasks:', hf_icrl.evaluate('alice/agent', episodes=1, seeds=1)['tasks'])"
    )
    checkout = Path(__file__).resolve().parents[2]
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "tasks: [{'goal': [3, 1]}]" in done.stdout


def test_long_episodes_are_thinned_in_the_video_and_end_on_their_last_step(model):
    family = DarkRoomFamily(size=4, horizon=1000)
    report = evaluate(model, family, [{"goal": [0, 0]}], episodes=1, seeds=1)
    with av.open(io.BytesIO(report.video())) as container:
        assert len(list(container.decode(video=0))) < 300
    ((_, frames, totals),) = report.replay._panels()
    assert len(frames) == len(totals) == 201  # every fifth step, and the beginning
    assert totals[-1] == report["returns"][0][0]

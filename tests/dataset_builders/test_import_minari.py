"""Minari datasets, made with Minari itself, come back transition by transition."""

import sys
from types import SimpleNamespace

import gymnasium as gym
import minari
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from minari.data_collector.episode_buffer import EpisodeBuffer
from tests_support import digest

import hf_icrl
from hf_icrl.dataset_builders import imported
from hf_icrl.dataset_builders.minari_import import import_minari
from hf_icrl.histories import describe_histories, validate_histories


@pytest.fixture(autouse=True)
def _own_minari_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


def recorded(env, num, horizon=30, seed=0):
    """Episodes of uniformly random actions in a real environment, as Minari buffers."""
    made = gym.make(env, max_episode_steps=horizon)
    made.action_space.seed(seed)
    buffers = []
    for k in range(num):
        observation, _ = made.reset(seed=seed + k)
        episode = SimpleNamespace(observations=[observation], actions=[], rewards=[], terminations=[], truncations=[])
        while not (episode.terminations and (episode.terminations[-1] or episode.truncations[-1])):
            action = made.action_space.sample()
            observation, reward, terminated, truncated, _ = made.step(action)
            for name, value in zip(
                vars(episode), (observation, action, float(reward), terminated, truncated), strict=True
            ):
                getattr(episode, name).append(value)
        buffers.append(EpisodeBuffer(id=k, **vars(episode)))
    return buffers


def create(name, buffers, env=None, data_format="arrow", **more):
    return minari.create_dataset_from_buffers(
        dataset_id=name,
        buffer=buffers,
        env=env,
        data_format=data_format,
        algorithm_name="uniform",
        author="tests",
        author_email="tests@localhost",
        code_permalink="none",
        **more,
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("data_format", ["arrow", "hdf5"])
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_every_transition_of_a_real_dataset_comes_back(env, data_format, tmp_path):
    buffers = recorded(env, 5)
    create("some/random-v0", buffers, gym.make(env), data_format)
    collection = import_minari("some/random-v0", tmp_path / "out", episodes_per_history=2, progress=False)
    rows = collection.dataset.with_format("numpy")
    assert validate_histories(collection.dataset).lengths.tolist() == [
        sum(len(b.rewards) for b in buffers[k : k + 2]) for k in (0, 2, 4)
    ]
    assert list(zip(rows["history_id"], rows["episode"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    for row, buffer in zip(rows, buffers, strict=True):
        assert np.array_equal(row["observations"], np.stack(buffer.observations[:-1]))
        assert np.array_equal(row["final_observation"], buffer.observations[-1])
        assert np.array_equal(row["actions"], np.stack(buffer.actions))
        assert np.array_equal(row["rewards"], np.array(buffer.rewards, np.float32))
        assert row["terminated"] == buffer.terminations[-1]
        assert row["truncated"] == (buffer.truncations[-1] and not buffer.terminations[-1])
    assert collection.dataset[0]["task"] == {"dataset": "some/random-v0"}
    assert set(rows["env_id"]) == {env}
    returns = [sum(b.rewards) for b in buffers]
    assert collection.returns == pytest.approx([np.mean(returns[::2]), np.mean(returns[1::2])], rel=1e-5)
    assert collection.info["curve"]["mean_return"] == pytest.approx(collection.returns, rel=1e-5)
    again = import_minari(tmp_path / "minari" / "some/random-v0", tmp_path / "again", episodes_per_history=2)
    assert {k: v for k, v in digest(again.path).items() if k.endswith("arrow")} == {
        k: v for k, v in digest(collection.path).items() if k.endswith("arrow")
    }


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_imported_histories_describe_and_show_themselves_and_make_windows(tmp_path, capsys):
    for quality in ("expert", "medium"):
        create(f"pole/{quality}-v0", recorded("CartPole-v1", 4, seed=len(quality)), gym.make("CartPole-v1"))
    collection = import_minari(["pole/expert-v0", "pole/medium-v0"], tmp_path / "out", command="hf-icrl import minari")
    assert "imported 2 histories of up to 4 episodes" in capsys.readouterr().out
    assert collection.info["tasks"]["train"] == [{"dataset": "pole/expert-v0"}, {"dataset": "pole/medium-v0"}]
    text = dict(describe_histories(collection.path, collection.info))
    assert text["histories"] == "2 of up to 4 episodes"
    assert text["made by"].endswith("hf-icrl import minari")
    assert "<table>" in collection._repr_html_()
    windows = hf_icrl.HistoryWindows(collection.dataset, length=10, num_windows=3)
    assert windows[0]["observations"].shape == (10, 4)


numbers = st.sampled_from([spaces.Discrete(4, start=2), spaces.MultiDiscrete([3, 2]), spaces.MultiBinary(3)])
boxes = st.sampled_from(
    [spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (2, 3), np.float64), spaces.Box(0, 255, (2, 2), np.uint8)]
)
nested = st.recursive(
    st.one_of(numbers, boxes.filter(lambda box: box.dtype != np.uint8)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(spaces.Tuple),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(spaces.Dict),
    ),
    max_leaves=4,
)


def batched(space, values):
    """A list of values of `space` in Minari's form."""
    if isinstance(space, spaces.Dict):
        return {name: batched(part, [value[name] for value in values]) for name, part in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(batched(part, [value[i] for value in values]) for i, part in enumerate(space.spaces))
    return values


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(numbers, boxes, nested),
    st.one_of(numbers, boxes),
    st.lists(st.integers(1, 5), min_size=1, max_size=5),
    st.none() | st.integers(1, 3),
    st.sampled_from([1, 200, 2**26]),
    st.integers(0, 2**32 - 1),
)
def test_random_episodes_of_random_spaces_come_back(
    tmp_path_factory, observation_space, action_space, lengths, per_history, shard_bytes, seed
):
    """Values as `gymnasium.spaces.flatten` gives them where they are nested, in shards of any size."""
    folder = tmp_path_factory.mktemp("property")
    rng = np.random.default_rng(seed)
    observation_space.seed(seed)
    action_space.seed(seed)
    buffers, observed, acted = [], [], []
    for k, length in enumerate(lengths):
        observations = [observation_space.sample() for _ in range(length + 1)]
        actions = [action_space.sample() for _ in range(length)]
        observed.append(observations)
        acted.append(actions)
        end = rng.integers(3)  # terminated, truncated, or a record that just stops
        flags = np.zeros((2, length), bool)
        flags[:, -1] = [end == 0, end == 1]
        buffers.append(
            EpisodeBuffer(
                id=k,
                observations=batched(observation_space, observations),
                actions=actions,
                rewards=rng.standard_normal(length).tolist(),
                terminations=flags[0].tolist(),
                truncations=flags[1].tolist(),
            )
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(folder / "minari"))
        patch.setattr(imported, "SHARD_BYTES", shard_bytes)
        create(
            "any/any-v0",
            buffers,
            observation_space=observation_space,
            action_space=action_space,
            jpeg_encoding=False,
        )
        flatten = isinstance(observation_space, (spaces.Dict, spaces.Tuple))
        collection = import_minari(
            "any/any-v0", folder / "out", episodes_per_history=per_history, flatten=flatten, progress=False
        )
    rows = list(collection.dataset)
    per_history = per_history or len(lengths)
    assert [(row["history_id"], row["episode"]) for row in rows] == [
        (k // per_history, k % per_history) for k in range(len(lengths))
    ]
    validate_histories(collection.dataset)

    def expected(space, value):
        if isinstance(space, (spaces.Dict, spaces.Tuple)):
            return spaces.flatten(space, value).astype(np.float32).tolist()
        if isinstance(space, spaces.Discrete):
            return int(value) - int(space.start)
        kind = np.float32 if space.dtype == np.float64 else space.dtype
        return np.asarray(value).astype(kind).ravel().tolist()

    for row, buffer, observations, actions in zip(rows, buffers, observed, acted, strict=True):
        assert row["observations"] == [expected(observation_space, o) for o in observations[:-1]]
        assert row["final_observation"] == expected(observation_space, observations[-1])
        assert row["actions"] == [expected(action_space, a) for a in actions]
        assert row["rewards"] == np.array(buffer.rewards, np.float32).tolist()
        assert row["terminated"] == buffer.terminations[-1]
        assert row["truncated"] == (not buffer.terminations[-1])


def simple(**changes):
    """One episode of three steps with numbers for observations and actions."""
    episode = {
        "observations": [0, 1, 2, 3],
        "actions": [0, 1, 0],
        "rewards": [0.0, 1.0, 0.0],
        "terminations": [False, False, True],
        "truncations": [False, False, False],
    }
    return EpisodeBuffer(id=0, **(episode | changes))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terminations": [True, False, True]}, "episode 0 of bad/one-v0 ends at step 0, but goes on to step 2"),
        ({"rewards": [0.0, float("nan"), 0.0]}, "episode 0 of bad/one-v0 has rewards that are not finite"),
        ({"observations": [0, 1, 2, 9]}, "observations of episode 0 of bad/one-v0 hold the value 9"),
    ],
)
def test_a_malformed_episode_is_named_and_nothing_is_left(changes, message, tmp_path):
    create("bad/one-v0", [simple(**changes)], observation_space=spaces.Discrete(4), action_space=spaces.Discrete(2))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        import_minari("bad/one-v0", tmp_path / "out", progress=False)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_cannot_be_imported_is_refused(tmp_path, monkeypatch):
    simple_spaces = {"observation_space": spaces.Discrete(4), "action_space": spaces.Discrete(2)}
    create("some/one-v0", [simple()], **simple_spaces)
    create("some/two-v0", [simple()], observation_space=spaces.Discrete(5), action_space=spaces.Discrete(2))
    nested_space = spaces.Dict({"x": spaces.Discrete(4), "mission": spaces.Text(5)})
    buffer = simple(observations={"x": [0, 1, 2, 3], "mission": ["go"] * 4})
    create("some/text-v0", [buffer], observation_space=nested_space, action_space=spaces.Discrete(2))
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"some/text-v0 are a Dict .*flatten=True \(--flatten\)"):
        import_minari("some/text-v0", out)
    with pytest.raises(ValueError, match="some/text-v0: a Text space"):
        import_minari("some/text-v0", out, flatten=True)
    with pytest.raises(
        ValueError, match=r"the observation_space of some/two-v0 is .*'n': 5.*, that of some/one-v0 is"
    ):
        import_minari(["some/one-v0", "some/two-v0"], out)
    with pytest.raises(ValueError, match="names a dataset twice"):
        import_minari(["some/one-v0", "some/one-v0"], out)
    with pytest.raises(FileNotFoundError, match="no/such-v0 is neither a folder of a Minari dataset nor the id"):
        import_minari("no/such-v0", out)
    with pytest.raises(ValueError, match="not an id cannot be opened"):
        import_minari("not an id", out, download=True)
    with pytest.raises(ValueError, match="episodes_per_history is 0"):
        import_minari("some/one-v0", out, episodes_per_history=0)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    with pytest.raises(ValueError, match="is not empty; nothing was changed"):
        import_minari("some/one-v0", out)
    assert (out / "mine.txt").read_text() == "keep"
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(ValueError, match=r'pip install "hf-icrl\[minari\]"'):
        import_minari("some/one-v0", tmp_path / "other")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_a_killed_import_left_is_cleared_away(tmp_path):
    create("some/one-v0", [simple()], observation_space=spaces.Discrete(4), action_space=spaces.Discrete(2))
    left = tmp_path / "_partial-out"
    left.mkdir()
    (left / "shard-00000").write_bytes(b"half")
    (tmp_path / "out").mkdir()  # an empty folder may be there
    collection = import_minari("some/one-v0", tmp_path / "out", progress=False)
    assert len(collection.dataset) == 1
    assert not left.exists()
    assert sorted(path.name for path in collection.path.iterdir()) == [
        "data-00000-of-00001.arrow",
        "dataset_info.json",
        "history_info.json",
        "state.json",
    ]

"""Plain parquet files become learning histories: whatever the columns are called, nothing is lost, and mistakes are named."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_support import digest

import hf_icrl
from hf_icrl.dataset_builders import import_parquet, imported, parquet_columns
from hf_icrl.histories import validate_histories

INF = float("inf")
OBSERVATIONS = {
    "index": {"type": "Discrete", "n": 9},
    "pair": {"type": "MultiDiscrete", "nvec": [5, 9]},
    "vector": {"type": "Box", "shape": [3], "low": [-INF] * 3, "high": [INF] * 3},
    "image": {"type": "Box", "dtype": "uint8", "shape": [2, 2, 3]},
}
ACTIONS = {"index": OBSERVATIONS["index"], "vector": OBSERVATIONS["vector"]}


def values(kind, number, rng):
    """`number` random values as nested lists of Python numbers."""
    if kind == "index":
        return rng.integers(9, size=number).tolist()
    if kind == "pair":
        return np.stack([rng.integers(5, size=number), rng.integers(9, size=number)], axis=1).tolist()
    if kind == "vector":
        return rng.standard_normal((number, 3)).astype(np.float32).tolist()
    return rng.integers(256, size=(number, 2, 2, 3)).tolist()


def flat(value):
    return np.ravel(value).tolist() if isinstance(value, list) else value


def make_histories(shape, observation, action, seed):
    """Histories (lists of lists of episode dicts) with as many steps as `shape` says."""
    rng = np.random.default_rng(seed)
    return [
        [
            {
                "observations": values(observation, steps + 1, rng),
                "actions": values(action, steps, rng),
                "rewards": rng.standard_normal(steps).astype(np.float32).tolist(),
                "terminated": bool(rng.integers(2)),
                "goal": h,
            }
            for steps in history
        ]
        for h, history in enumerate(shape)
    ]


def written(rows, path, rename, num_files):
    """Write row dicts to `num_files` files under other column names; returns the folder."""
    path.mkdir()
    for i, part in enumerate(np.array_split(np.arange(len(rows)), num_files)):
        table = pa.Table.from_pylist([{rename.get(k, k): v for k, v in rows[j].items()} for j in part])
        pq.write_table(table, path / f"part-{i}.parquet", row_group_size=3)
    return path


def check(collection, histories, tasks):
    rows = list(collection.dataset)
    validate_histories(collection.dataset)
    expected = [(h, e, episode) for h, history in enumerate(histories) for e, episode in enumerate(history)]
    assert [(row["history_id"], row["episode"]) for row in rows] == [(h, e) for h, e, _ in expected]
    for row, (h, _, episode) in zip(rows, expected, strict=True):
        assert row["observations"] == [flat(o) for o in episode["observations"][:-1]]
        assert row["final_observation"] == flat(episode["observations"][-1])
        assert row["actions"] == [flat(a) for a in episode["actions"]]
        assert row["rewards"] == episode["rewards"]
        assert (row["terminated"], row["truncated"]) == (episode["terminated"], not episode["terminated"])
        assert row["task"] == tasks[h]


shapes = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=4)
layouts = st.tuples(st.sampled_from(sorted(OBSERVATIONS)), st.sampled_from(sorted(ACTIONS)), st.integers(0, 2**32 - 1))


@settings(max_examples=60)
@given(
    shapes,
    layouts,
    st.integers(1, 3),
    st.sampled_from([1, 2, 5, 1000]),
    st.sampled_from([1, 300, 2**26]),
    st.booleans(),
    st.booleans(),
)
def test_rows_of_transitions_come_back(
    tmp_path_factory, shape, layout, num_files, at_once, shard_bytes, numbered, named_ids
):
    observation, action, seed = layout
    histories = make_histories(shape, observation, action, seed)
    rows = [
        {
            "history_id": f"run {h}" if named_ids else 3 * h + 5,
            **({"episode": 2 * e + 1} if numbered else {}),
            "observations": episode["observations"][t],
            "actions": episode["actions"][t],
            "rewards": episode["rewards"][t],
            "terminated": episode["terminated"] and t == len(episode["rewards"]) - 1,
            "truncated": not episode["terminated"] and t == len(episode["rewards"]) - 1,
            "next_observations": episode["observations"][t + 1],
            "goal": episode["goal"],
            "size": 2.5,
        }
        for h, history in enumerate(histories)
        for e, episode in enumerate(history)
        for t in range(len(episode["rewards"]))
    ]
    rename = {"history_id": "run", "observations": "obs", "rewards": "r", "next_observations": "obs2"}
    folder = tmp_path_factory.mktemp("property")
    num_files = min(num_files, len(rows))
    source = written(rows, folder / "in", rename, num_files)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_columns, "_ROWS_AT_ONCE", {"steps": at_once, "episodes": at_once})
        patch.setattr(imported, "SHARD_BYTES", shard_bytes)
        collection = import_parquet(
            source,
            folder / "out",
            columns=rename | {"task": ["goal", "size"]},
            observation_space=OBSERVATIONS[observation],
            action_space=ACTIONS[action],
            progress=False,
        )
    check(collection, histories, [{"goal": h, "size": 2.5} for h in range(len(histories))])


@settings(max_examples=60)
@given(
    shapes,
    layouts,
    st.integers(1, 2),
    st.sampled_from([1, 2, 1000]),
    st.sampled_from(["longer", "final", "next"]),
    st.booleans(),
)
def test_rows_of_episodes_come_back(tmp_path_factory, shape, layout, num_files, at_once, last, lists_of_flags):
    observation, action, seed = layout
    histories = make_histories(shape, observation, action, seed)
    rows = []
    for h, history in enumerate(histories):
        for episode in history:
            steps = len(episode["rewards"])
            observations = episode["observations"]
            ended = [False] * (steps - 1) + [episode["terminated"]]
            rows.append(
                {
                    "history_id": h,
                    "observations": observations if last == "longer" else observations[:-1],
                    **({"final_observation": observations[-1]} if last == "final" else {}),
                    **({"next_observations": observations[1:]} if last == "next" else {}),
                    "actions": episode["actions"],
                    "rewards": episode["rewards"],
                    "terminated": ended if lists_of_flags else episode["terminated"],
                    "task": {"goal": [h, 1]},
                }
            )
    folder = tmp_path_factory.mktemp("property")
    source = written(rows, folder / "in", {}, min(num_files, len(rows)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_columns, "_ROWS_AT_ONCE", {"steps": at_once, "episodes": at_once})
        collection = import_parquet(
            source,
            folder / "out",
            observation_space=OBSERVATIONS[observation],
            action_space=ACTIONS[action],
            progress=False,
        )
    check(collection, histories, [{"goal": [h, 1]} for h in range(len(histories))])


def test_our_own_histories_survive_a_way_through_parquet(tmp_path):
    """What `datasets` writes as parquet comes back without any mapping, to the same bytes of data."""
    collection = hf_icrl.collect(
        "dark_room",
        "q_learning",
        env_kwargs={"size": 3},
        output_dir=tmp_path / "own",
        histories_per_task=1,
        episodes=4,
        progress=False,
    )
    collection.dataset.to_parquet(tmp_path / "own.parquet")
    spaces = {name: collection.info[name] for name in ("observation_space", "action_space")}
    again = import_parquet(tmp_path / "own.parquet", tmp_path / "again", progress=False, **spaces)
    names = [name for name in collection.dataset.column_names if name not in ("source", "split")]
    assert again.dataset.select_columns(names).to_dict() == collection.dataset.select_columns(names).to_dict()
    assert again.info["tasks"]["train"] == collection.info["tasks"]["train"]
    assert again.info["env_id"] == "hf_icrl/DarkRoom-v0"
    assert again.info["curve"]["mean_return"] == collection.info["curve"]["mean_return"]


STEPS = {
    "run": [0, 0, 0, 0],
    "episode": [0, 0, 1, 1],
    "x": [0.0, 1.0, 2.0, 3.0],
    "y": [5.0, 6.0, 7.0, 8.0],
    "x2": [1.0, 9.0, 3.0, 4.0],
    "y2": [6.0, 9.0, 8.0, 9.0],
    "a": [0, 2, 1, 0],
    "r": [0.0, 1.0, 0.0, 1.0],
    "done": [False, True, False, False],
}
MAPPING = {
    "history_id": "run",
    "observations": ["x", "y"],
    "next_observations": ["x2", "y2"],
    "actions": "a",
    "rewards": "r",
    "terminated": "done",
}


def table(tmp_path, **changes):
    columns = {name: values for name, values in (STEPS | changes).items() if values is not None}
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_columns_side_by_side_and_inferred_spaces(tmp_path):
    with pytest.warns(UserWarning, match="is inferred from the values as") as warned:
        collection = import_parquet(table(tmp_path), tmp_path / "out", columns=MAPPING, progress=False)
    assert "Discrete(n=3)" in str(warned[1].message)
    assert collection.info["observation_space"] == {
        "type": "Box",
        "shape": [2],
        "low": [-INF, -INF],
        "high": [INF, INF],
    }
    rows = list(collection.dataset)
    assert [row["observations"] for row in rows] == [[[0.0, 5.0], [1.0, 6.0]], [[2.0, 7.0], [3.0, 8.0]]]
    assert [row["final_observation"] for row in rows] == [[9.0, 9.0], [4.0, 9.0]]
    assert [(row["terminated"], row["truncated"]) for row in rows] == [(True, False), (False, True)]
    assert rows[0]["task"] == {"dataset": "in"}
    assert rows[0]["env_id"] == "unknown"
    assert hf_icrl.HistoryWindows(collection.dataset, length=4, num_windows=1)[0]["observations"].shape == (4, 2)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_last_observation_is_repeated_only_if_asked_for(tmp_path):
    path = table(tmp_path)
    mapping = {name: column for name, column in MAPPING.items() if name != "next_observations"}
    with pytest.raises(ValueError, match=r"map next_observations to a column of .*in.parquet, or let missing_final"):
        import_parquet(path, tmp_path / "out", columns=mapping)
    collection = import_parquet(path, tmp_path / "out", columns=mapping, missing_final="repeat", progress=False)
    assert collection.dataset["final_observation"][:] == [[1.0, 6.0], [3.0, 8.0]]
    rows = pa.table({"observations": [[0, 1]], "actions": [[0, 1]], "rewards": [[0.0, 1.0]]})
    pq.write_table(rows, tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=r"nothing says what the last action of row 0 of .* led to"):
        import_parquet(tmp_path / "rows.parquet", tmp_path / "rows")
    collection = import_parquet(tmp_path / "rows.parquet", tmp_path / "rows", missing_final="repeat")
    assert collection.dataset["final_observation"][:] == [1]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("changes", "mapping", "message"),
    [
        ({}, {"reward": "r"}, "unknown name in columns 'reward': did you mean 'rewards'"),
        ({}, {"rewards": "rr"}, "has no column 'rr' for rewards: did you mean"),
        ({}, {"actions": None}, "nothing says which column of .* holds the actions"),
        ({"episode": None}, {"terminated": None}, "nothing says where an episode ends"),
        ({"run": [0, 1, 0, 1]}, {}, "history 0 goes on at row 2 of .*in.parquet, after another one began"),
        ({"episode": [1, 1, 0, 0]}, {}, "episode 0 of history 0 at row 2 of .*in.parquet comes after episode 1"),
        (
            {"episode": ["a", "b", "a", "a"], "x2": [9.0] * 4},
            {},
            "episode 'a' of history 0 .* comes after episode 'b'",
        ),
        ({"done": [True, False, False, True]}, {}, "has ended, but goes on at row 1 of"),
        ({"x2": [7.0, 9.0, 3.0, 4.0]}, {}, "step 0 of the episode that begins at row 0 .* led to another observation"),
        ({"a": [0, -1, 0, 0]}, {}, "the actions have the value -1 .* give their space"),
        ({"a": ["l", "r", "l", "r"]}, {}, "the column 'a' holds string"),
        ({"r": [0.0, None, 0.0, 1.0]}, {}, "the column 'r' has null values"),
        ({"r": [0.0, float("nan"), 0.0, 1.0]}, {}, "row 0 of .* has rewards that are not finite"),
        ({"y": [[5.0], [6.0], [7.0], [8.0]]}, {}, "the column 'y' holds lists; only columns of plain numbers"),
        ({"a": [[0], [1, 1], [0], [0]]}, {}, "the column 'a' has values of 1 to 2 numbers"),
    ],
)
def test_malformed_input_is_named_and_nothing_is_left(changes, mapping, message, tmp_path):
    path = table(tmp_path, **changes)
    columns = {name: column for name, column in (MAPPING | mapping).items() if column is not None}
    with pytest.raises(ValueError, match=message):
        import_parquet(path, tmp_path / "out", columns=columns, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"action_space": {"type": "Discrete", "n": 2}}, "actions of the episode .* hold the value 2"),
        ({"action_space": {"type": "MultiDiscrete", "nvec": [3, 3]}}, "has actions of 1 numbers"),
        ({"action_space": {"type": "Discrete", "m": 2}}, "is no space spec"),
        ({"observation_space": {"type": "Discrete", "n": 9}}, "has observations of 2 numbers"),
        ({"observation_space": {"type": "Box", "dtype": "uint8", "shape": [1]}}, "has observations of 2 numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_values_outside_a_given_space_are_refused(spaces, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        import_parquet(table(tmp_path), tmp_path / "out", columns=MAPPING, progress=False, **spaces)
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_files_are_checked(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no parquet file and no folder that holds one"):
        import_parquet(tmp_path / "none", tmp_path / "out")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(ValueError, match="cannot be read as a parquet file"):
        import_parquet(tmp_path / "bad.parquet", tmp_path / "out")
    pq.write_table(pa.table(STEPS).slice(0, 0), tmp_path / "empty.parquet")
    with pytest.raises(ValueError, match="there is nothing to import"):
        import_parquet(tmp_path / "empty.parquet", tmp_path / "out", columns=MAPPING)
    other = pa.table({name: column for name, column in STEPS.items() if name != "a"})
    pq.write_table(other, tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=r"the column 'a' is missing in .*other.parquet, but int64 in"):
        import_parquet([table(tmp_path), tmp_path / "other.parquet"], tmp_path / "out", columns=MAPPING)
    before = digest(tmp_path)
    with pytest.raises(ValueError, match="is not empty; nothing was changed"):
        import_parquet(tmp_path / "in.parquet", tmp_path, columns=MAPPING)
    assert digest(tmp_path) == before


def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path):
    """20 MB that cannot be compressed, in 16 row groups, of which only a few are held at a time."""
    numbers = np.random.default_rng(0).standard_normal(2**21)
    rows = {"observations": numbers, "actions": np.zeros(2**21, np.int8), "rewards": np.zeros(2**21, np.int8)}
    pq.write_table(pa.table(rows), tmp_path / "large.parquet", row_group_size=2**17)
    del rows
    before = pa.total_allocated_bytes()
    files = parquet_columns.ParquetColumns(tmp_path / "large.parquet", {})
    held, total = [], 0
    for _, _, batch in files.batches():
        held.append(pa.total_allocated_bytes() - before)
        total += batch.num_rows
    assert total == 2**21
    assert max(held) < 2**23

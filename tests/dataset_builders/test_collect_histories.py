"""Which part of the runs is collected, and that nothing about how it is done shows in the bytes."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sources_support import ThreeStreams, TorchSums

import hf_icrl
from hf_icrl.dataset_builders.one_thread import _openblas
from hf_icrl.dataset_builders.shard_sizes import default_histories_per_shard
from hf_icrl.histories import validate_histories
from hf_icrl.sources import make_source, scratch, tape
from hf_icrl.tasks import task_family

begin = ThreeStreams.begin
ARGUMENTS = {
    "family": "dark_room",
    "env_kwargs": {"size": 4, "horizon": 6, "terminate_on_goal": True},
    "source": "q_learning",
    "histories_per_task": 3,
    "episodes": 23,
    "histories_per_shard": 6,
    "columns": ["time", "optimal_actions"],
    "progress": False,
}


def collect(folder, **changes):
    return hf_icrl.collect(**{**ARGUMENTS, **changes}, output_dir=folder)


def data_of(folder):
    """Digest of every data file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("data-*"))}


def histories(collection):
    """History id -> its rows without the numbers of the episodes."""
    found = {}
    for row in collection.dataset:
        assert row.pop("episode") == len(found.setdefault(row["history_id"], []))
        found[row["history_id"]].append(row)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return collect(tmp_path_factory.mktemp("whole") / "dataset")


@pytest.mark.parametrize(
    ("source", "choice"),
    [
        ("q_learning", {"subsample": 4}),
        ("q_learning", {"subsample": 3, "skip": 2, "keep": 5}),
        ("q_learning", {"skip": 22}),
        ("q_learning", {"keep": 7}),
        ("q_learning", {"keep": 1000}),
        ("noise_curriculum", {"subsample": 5, "skip": 1}),
        (ThreeStreams(), {"subsample": 2, "keep": 3}),
    ],
    ids=str,
)
@pytest.mark.parametrize("chunk", [tape._CHUNK, 500])
def test_chosen_episodes_are_those_of_the_whole_runs(tmp_path, monkeypatch, source, choice, chunk):
    """Bit for bit, numbered anew; also if the recorder turns its chunk after every few steps."""
    every = histories(collect(tmp_path / "every", source=source))
    monkeypatch.setattr(tape, "_CHUNK", chunk)
    some = collect(tmp_path / "some", source=source, **choice)
    skip, subsample, keep = choice.get("skip", 0), choice.get("subsample", 1), choice.get("keep")
    assert histories(some) == {h: rows[skip::subsample][:keep] for h, rows in every.items()}
    assert some.info["run"] == {"episodes": 23, "subsample": subsample, "skip": skip, "keep": keep}
    assert some.info["episodes"] * some.info["num_histories"] == len(some.dataset)
    validate_histories(some.dataset)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subsample": 0}, "subsample is 0; it must be an integer of at least 1"),
        ({"skip": -1}, "skip is -1; it must be an integer of at least 0"),
        ({"skip": 23}, "skip is 23, but a run has only 23 episodes; skip fewer"),
        ({"keep": 0}, "keep is 0; it must be an integer of at least 1"),
        ({"columns": ["tme"]}, "did you mean 'time'"),
        ({"columns": ["log_probs"]}, "unknown optional column of q_learning 'log_probs'"),
        ({"source": ThreeStreams(), "histories_per_task": 4}, "histories_per_task is 4, .* use a multiple of 3"),
        ({"source": ThreeStreams(), "histories_per_shard": 4}, "histories_per_shard is 4, .* use a multiple of 3"),
    ],
)
def test_bad_choices_are_named_and_leave_no_dataset(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        collect(tmp_path / "dataset", **change)
    assert not list(tmp_path.glob("dataset/data-*"))
    corrected = collect(tmp_path / "dataset")  # what failed before its first shard is no obstacle
    assert corrected.info["run"]["episodes"] == corrected.info["episodes"]


@pytest.mark.parametrize("change", [{"subsample": 2}, {"skip": 1}, {"keep": 4}, {"columns": ["time"]}], ids=str)
def test_another_choice_does_not_go_on_in_the_same_folder(whole, tmp_path, change):
    shard = next(path.name for path in whole.path.glob("data-00000-*"))
    for name in ("collection.json", shard):
        (tmp_path / name).write_bytes((whole.path / name).read_bytes())
    with pytest.raises(ValueError, match=rf"was begun with {next(iter(change))} = .*; use the same value"):
        collect(tmp_path, **change)


@pytest.mark.parametrize(
    "changes",
    [
        {"subsample": 3, "skip": 1, "keep": 5, "columns": ["time"]},
        {"source": ThreeStreams()},
        {"source_params": {"stray_transition": True}},
    ],
    ids=str,
)
def test_bytes_depend_on_neither_processes_nor_interruption(tmp_path, changes):
    once = collect(tmp_path / "once", **changes)
    collect(tmp_path / "two", **changes, num_proc=2)
    assert data_of(tmp_path / "two") == data_of(once.path)
    for name in ("state.json", "data-00001-of-00006.arrow", "data-00005-of-00006.arrow"):
        (tmp_path / "two" / name).unlink()
    assert collect(tmp_path / "two", **changes).new_shards == 2
    assert data_of(tmp_path / "two") == data_of(once.path)
    large = collect(tmp_path / "large", **changes, histories_per_shard=1000 * 3)
    assert large.dataset.to_list() == once.dataset.to_list()


def stopped(command, folder, stop):
    """Run `command` until it has written a first shard, then send `stop` to all its processes; what it said, shards."""
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 400  # a busy machine is slow, not wrong
    while not data_of(folder) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, stop)
    said = process.communicate()[1]
    assert process.returncode != 0
    there = data_of(folder)
    assert 1 <= len(there) < 6, said
    assert not (folder / "state.json").exists()
    return said, there


@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_killed_collection_of_streams_loses_only_the_shard_in_work(tmp_path, num_proc):
    folder = tmp_path / "dataset"
    changes = {"source": ThreeStreams(), "subsample": 2, "episodes": 800}
    code = (
        f"import hf_icrl, sys; sys.path[:0] = {sys.path!r}; from sources_support import ThreeStreams\n"
        f"arguments = {ARGUMENTS | changes | {'num_proc': num_proc, 'source': None}!r} | {{'source': ThreeStreams()}}\n"
        f"hf_icrl.collect(**arguments, output_dir={str(folder)!r})"
    )
    _, there = stopped([sys.executable, "-c", code], folder, signal.SIGKILL)
    assert collect(folder, **changes).new_shards == 6 - len(there)
    assert there.items() <= data_of(folder).items()
    collect(tmp_path / "once", **changes)
    assert data_of(folder) == data_of(tmp_path / "once")


def test_an_interrupted_command_says_so_in_one_sentence(tmp_path):
    arguments = f"collect --config quickstart --output_dir {tmp_path} --collect.histories_per_task 1".split()
    # Long histories, so that a busy machine still sees the first shard before the last; and small shards, which the plan
    # tells the workers of.
    arguments += ["--collect.episodes", "4000"]
    code = (
        # Shells that run the tests in the background let their children ignore Ctrl-C.
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from hf_icrl.dataset_builders import shard_sizes; shard_sizes.MANY_HISTORIES = 11\n"
        f"from hf_icrl.cli.main import main; sys.exit(main({arguments!r} + ['--collect.num_proc', '2']))"
    )
    folder = tmp_path / "dataset"
    said, _ = stopped([sys.executable, "-c", code], folder, signal.SIGINT)  # as Ctrl-C does: to all processes
    assert said.strip() == "hf-icrl: interrupted; run the same command again and it goes on where it was"
    assert {path.suffix for path in folder.iterdir()} == {".arrow", ".json"}


@pytest.mark.parametrize("num_proc", [1, 2])
def test_bits_do_not_depend_on_the_threads_of_torch(tmp_path, num_proc):
    changes = {"source": TorchSums(), "episodes": 2, "histories_per_task": 1}
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        plain = collect(tmp_path / "plain", **changes)
        torch.set_num_threads(2)
        family = task_family("dark_room", **ARGUMENTS["env_kwargs"])
        tasks = plain.info["tasks"]["train"]
        free = TorchSums().generate(family, tasks, range(len(tasks)), 2, 0)
        collect(tmp_path / "other", **changes, num_proc=num_proc)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert data_of(tmp_path / "other") == data_of(plain.path)
    # It is no test if the number of threads does not matter.
    actions = [row["actions"] for row in plain.dataset]
    assert (
        np.concatenate(actions).tolist()
        != free.actions[np.arange(free.actions.shape[1]) < free.lengths[:, None]].tolist()
    )


@pytest.mark.parametrize("changes", [{}, {"source": ThreeStreams(), "subsample": 4}], ids=str)
def test_recordings_on_disk_are_those_in_memory(whole, tmp_path, monkeypatch, changes):
    in_memory = collect(tmp_path / "memory", **changes)
    rooms = []
    room = scratch.Scratch.room

    def noted(self, shape, dtype):
        rooms.append(shape)
        return room(self, shape, dtype)

    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    monkeypatch.setattr(scratch.Scratch, "room", noted)
    monkeypatch.setattr(tape, "_CHUNK", 3000)
    monkeypatch.setattr(hf_icrl.dataset_builders.plan, "BYTES_PER_RECORD_BATCH", 10**9)
    on_disk = collect(tmp_path / "disk", **changes)
    assert len(rooms) == 6 * 8
    assert data_of(on_disk.path) == data_of(in_memory.path)
    assert not list(on_disk.path.glob(".*"))


def test_a_shard_of_several_record_batches_has_the_same_rows(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(hf_icrl.dataset_builders.plan, "BYTES_PER_RECORD_BATCH", 4000)
    small = collect(tmp_path / "small")
    assert len(small.dataset.data.to_batches()) > len(whole.dataset.data.to_batches()) == 6
    assert small.dataset.to_list() == whole.dataset.to_list()
    np.testing.assert_array_equal(small.returns, whole.returns)


def test_no_room_for_a_recording_is_one_clear_error(tmp_path, monkeypatch):
    def full(handle, offset, size):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(scratch, "IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"the disk is full .* Free some space and run the same command again"):
        collect(tmp_path / "dataset")
    assert {path.name for path in (tmp_path / "dataset").iterdir()} == {"collection.json"}


def test_a_stray_transition_is_an_unfinished_row_that_counts_nowhere(whole, tmp_path):
    stray = collect(tmp_path / "stray", source_params={"stray_transition": True})
    validate_histories(stray.dataset)
    assert len(stray.dataset) == len(whole.dataset) + stray.info["num_histories"]
    strays = [row for row in stray.dataset if row["episode"] == 23]
    assert {len(row["actions"]) for row in strays} == {1}
    assert [row for row in stray.dataset if row["episode"] < 23] == whole.dataset.to_list()
    np.testing.assert_array_equal(stray.returns, whole.returns)
    assert stray.info["curve"] == whole.info["curve"]


@pytest.mark.parametrize(
    ("source", "params", "num_histories", "steps", "size", "expected"),
    [
        ("q_learning", {}, 10_000, 4000, 25, 1000),  # Headless-AD: 200 episodes of 20 words
        ("thompson", {}, 10_000, 300, 25, 1667),
        ("noise_curriculum", {}, 65, 400_000, 25, 33),  # AD-eps
        ("a2c", {}, 570, 250_000, 25, 60),  # six learners of ten streams
        ("noise_curriculum", {}, 65, 400_000, 250, 9),  # ten times as large
        ("noise_curriculum", {}, 20, 10**9, 25, 1),
        ("a2c", {}, 20, 10**9, 25, 10),
        ("noise_curriculum", {}, 300, 100, 25, 300),
        ("stable_baselines3", {"num_envs": 4}, 400, 40_000, 25, 4),
    ],
)
def test_shards_are_large_enough_to_be_fast_and_small_enough_for_the_disk(
    source, params, num_histories, steps, size, expected
):
    if source == "stable_baselines3":
        pytest.importorskip("stable_baselines3")
    assert default_histories_per_shard(make_source(source, **params), num_histories, steps, size) == expected


def test_numpy_computes_on_one_thread_while_a_source_generates(tmp_path, monkeypatch):
    """The last bits of a large linear solve depend on the number of threads of OpenBLAS."""
    if not _openblas():
        pytest.skip("NumPy has no OpenBLAS here")
    get, put = _openblas()[0]
    seen = []
    monkeypatch.setattr(ThreeStreams, "begin", lambda self, *args: seen.append(get()) or begin(self, *args))
    before = get()
    put(2)
    try:
        collect(tmp_path / "dataset", source=ThreeStreams(), episodes=1)
        assert get() == 2
    finally:
        put(before)
    assert set(seen) == {1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": ["log_probs"]}, "unknown optional column of q_learning 'log_probs'"),
        ({"family": "contextual_bandit"}, "needs Discrete observations"),
        (
            {"family": "bernoulli_bandit", "source": "noise_curriculum", "source_params": {"random_actions": [70]}},
            "70",
        ),
    ],
)
def test_a_source_that_does_not_fit_is_found_before_anything_is_written(tmp_path, capsys, arguments, message):
    arguments = {"family": "dark_room", "source": "q_learning", **arguments}
    with pytest.raises(ValueError, match=message):
        hf_icrl.collect(**arguments, histories_per_task=1, episodes=1, output_dir=tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()
    assert "collecting" not in capsys.readouterr().out

"""Collecting learning histories to disk: same bytes whatever happens on the way, nothing lost, clear refusals."""

import base64
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from datasets import load_from_disk

import hf_icrl
from hf_icrl.dataset_builders.source_picture import source_curve_png
from hf_icrl.histories import HistoryWindows, describe_histories, load_histories, validate_histories
from hf_icrl.sources import make_source
from hf_icrl.tasks import task_family, validation_split

ARGUMENTS = {
    "family": "dark_room",
    "source": "q_learning",
    "env_kwargs": {"size": 4, "horizon": 8},
    "histories_per_task": 3,
    "episodes": 5,
    "validation": 2,
    "histories_per_shard": 7,
    "progress": False,
}


def collect(folder, **changes):
    return hf_icrl.collect(**{**ARGUMENTS, **changes}, output_dir=folder)


def bytes_of(folder):
    """Digest of every file of a folder, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def in_process(folder, before="", **changes):
    """A Python process that collects into `folder`; `before` is code that it runs first."""
    code = f"import hf_icrl\n{textwrap.dedent(before)}\nhf_icrl.collect(**{ARGUMENTS | changes!r}, output_dir={str(folder)!r})"
    return [sys.executable, "-c", code]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished collection."""
    folder = tmp_path_factory.mktemp("whole") / "dataset"
    return collect(folder)


def test_the_folder_is_a_valid_dataset_that_says_all_about_itself(whole):
    dataset = load_from_disk(whole.path)
    assert dataset.cache_files, "not memory-mapped"
    index = validate_histories(dataset)
    info = json.loads((whole.path / "history_info.json").read_text())
    assert info["num_histories"] == len(index.lengths) == 3 * len(info["tasks"]["train"])
    assert info["num_transitions"] == index.steps[-1] == sum(map(len, dataset["actions"]))
    assert info["episodes"] * info["num_histories"] == len(dataset)
    assert info["num_bytes"] == sum(path.stat().st_size for path in whole.path.glob("data-*.arrow"))
    assert (set(dataset["env_id"]), set(dataset["source"]), set(dataset["split"])) == (
        {"hf_icrl/DarkRoom-v0"},
        {"q_learning"},
        {"train"},
    )
    assert info["observation_space"] == {"type": "Discrete", "n": 16}
    assert info["source"]["params"] == make_source("q_learning").params
    assert dataset.info.description == info["source"]["description"] == make_source("q_learning").describe()


def test_tasks_are_rebuilt_from_the_dataset_alone(whole):
    dataset, info = load_histories(whole.path)
    family = task_family(info["family"], **info["env_kwargs"])
    train, held_out = family.split(**info["split"])
    train, validation = validation_split(train, len(info["tasks"]["validation"]), seed=info["split"]["seed"])
    assert info["tasks"] == {"train": train, "validation": validation, "held_out": held_out}
    assert len(validation) == 2
    # History h is on task h % n.
    assert dataset["task"][:] == [train[h % len(train)] for h in dataset["history_id"]]


def test_rows_replay_in_the_environment(whole):
    dataset, info = load_histories(whole.path)
    for row in dataset.select(range(0, len(dataset), 11)):
        env = hf_icrl.task_family(info["family"], **info["env_kwargs"]).make(row["task"])
        observation, _ = env.reset()
        for t, action in enumerate(row["actions"]):
            assert observation == row["observations"][t]
            observation, reward, terminated, truncated, _ = env.step(action)
            assert reward == row["rewards"][t]
        assert (observation, terminated, truncated) == (
            row["final_observation"],
            row["terminated"],
            row["truncated"],
        )


def test_bits_depend_on_neither_processes_nor_shards(whole, tmp_path):
    collect(tmp_path / "two", num_proc=2)
    assert bytes_of(tmp_path / "two") == bytes_of(whole.path)
    other = collect(tmp_path / "large", histories_per_shard=10**6)
    assert other.dataset.to_list() == whole.dataset.to_list()
    seeds = collect(tmp_path / "seed", seed=1)
    assert seeds.dataset["actions"] != whole.dataset["actions"]


def test_more_histories_keep_the_first_ones(whole, tmp_path):
    more = collect(tmp_path / "more", histories_per_task=4)
    assert more.dataset.select(range(len(whole.dataset))).to_list() == whole.dataset.to_list()


@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_killed_collection_goes_on_and_ends_with_the_same_bytes(whole, tmp_path, num_proc):
    folder = tmp_path / "dataset"
    # Slow enough to be caught in the middle.
    slow = """
        import time
        from hf_icrl.sources.q_learning import QLearning
        generate = QLearning.generate
        def slowly(*args, **kwargs):
            time.sleep(0.3)
            return generate(*args, **kwargs)
        QLearning.generate = slowly
    """
    process = subprocess.Popen(in_process(folder, before=slow if num_proc == 1 else "", num_proc=num_proc))
    deadline = time.monotonic() + 60
    while not list(folder.glob("data-*.arrow")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(folder.glob("data-*.arrow"))
    if num_proc == 1:
        assert len(list(folder.glob("data-*.arrow"))) < 5
        with pytest.raises(FileNotFoundError):
            load_from_disk(folder)
        with pytest.raises(FileNotFoundError, match="its collection was interrupted: run the same"):
            load_histories(folder)
    (folder / ".data-00004-of-00005.arrow.x.tmp").write_bytes(b"half")  # what a kill in mid-write leaves
    collection = collect(folder, num_proc=num_proc)
    assert bytes_of(folder) == bytes_of(whole.path)
    assert collection.dataset.to_list() == whole.dataset.to_list()


def test_a_lost_shard_is_made_again(whole, tmp_path):
    collect(tmp_path / "dataset")
    (tmp_path / "dataset" / "data-00002-of-00005.arrow").unlink()
    assert collect(tmp_path / "dataset").new_shards == 1
    assert bytes_of(tmp_path / "dataset") == bytes_of(whole.path)


def test_a_finished_folder_is_left_as_it_is(whole, capsys):
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in whole.path.iterdir()}
    again = collect(whole.path, progress=True)
    assert "is collected already; nothing to do" in capsys.readouterr().out
    assert again.new_shards == 0
    assert again.info == whole.info
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in whole.path.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"episodes": 6}, "episodes = 5, now it is 6"),
        ({"seed": 4}, "seed = 0, now it is 4"),
        ({"env_kwargs": {"size": 4, "horizon": 9}}, "env_kwargs.horizon = 8, now it is 9"),
        ({"source_params": {"discount": 0.5}}, "source_params.discount = 0.6238, now it is 0.5"),
        ({"source": "noise_curriculum"}, "source = 'q_learning', now it is 'noise_curriculum'"),
        ({"held_out": 0.4}, "held_out = 0.2, now it is 0.4"),
        ({"validation": 0}, "validation = 2, now it is 0"),
        ({"tasks": "held_out"}, "tasks = 'train', now it is 'held_out'"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_going_on_with_other_arguments_is_refused_by_name(tmp_path, whole, change, message, finished):
    folder = tmp_path / "dataset"
    folder.mkdir()
    for path in whole.path.iterdir():
        if finished or path.name in ("collection.json", "data-00000-of-00005.arrow"):
            (folder / path.name).write_bytes(path.read_bytes())
    before = bytes_of(folder)
    with pytest.raises(ValueError, match=f"was begun with {message}; use the same value"):
        collect(folder, **change)
    assert bytes_of(folder) == before


def test_going_on_with_other_code_is_refused_unless_nothing_is_left_to_do(whole, tmp_path):
    folder = tmp_path / "dataset"
    collect(folder)
    request = json.loads((folder / "collection.json").read_text())
    (folder / "collection.json").write_text(json.dumps(request | {"code": "0123456789abcdef"}))
    assert collect(folder).new_shards == 0
    (folder / "data-00001-of-00005.arrow").unlink()
    before = bytes_of(folder)
    with pytest.raises(ValueError, match=r"another version of the code .*0123456789abcdef"):
        collect(folder)
    assert bytes_of(folder) == before


def test_a_folder_with_something_else_in_it_is_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(ValueError, match="holds no collection"):
        collect(tmp_path)
    (tmp_path / "collection.json").write_text("[]")
    with pytest.raises(ValueError, match="cannot be read"):
        collect(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["collection.json", "thesis.tex"]


def test_what_a_kill_in_the_first_write_left_is_no_obstacle(tmp_path):
    (tmp_path / ".collection.json.hf_icrl-abcd1234.tmp").write_text("{")
    collect(tmp_path)
    assert load_from_disk(str(tmp_path)).num_rows > 0
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/dataset"):
        collect(tmp_path / "file" / "dataset")


@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_full_disk_is_one_clear_error_and_nothing_is_lost(tmp_path, num_proc):
    """A limit on the size of files stands for the full disk: the write of the first large shard fails half-way."""
    folder = tmp_path / "dataset"
    changes = {"episodes": 50, "num_proc": num_proc}
    limit = """
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    """
    if num_proc == 1:
        collect(folder, **changes)
        first = (folder / "data-00000-of-00005.arrow").read_bytes()
        for path in folder.glob("[!c]*"):
            path.unlink()
        (folder / "data-00000-of-00005.arrow").write_bytes(first)
    run = subprocess.run(in_process(folder, before=limit, **changes), capture_output=True, text=True)
    last = run.stderr.strip().splitlines()[-1]
    assert run.returncode != 0
    assert last.startswith("OSError"), run.stderr
    assert f"cannot write {folder}/data-0000" in last
    assert {path.name for path in folder.iterdir()} == {"collection.json"} | (
        {"data-00000-of-00005.arrow"} if num_proc == 1 else set()
    )
    assert collect(folder, **changes).new_shards == (4 if num_proc == 1 else 5)


def test_too_little_room_is_said_before_anything_is_generated(tmp_path):
    with pytest.raises(OSError, match=r"free, the \d+ missing shards may need [\d,.]+ GB"):
        collect(tmp_path / "dataset", histories_per_task=10**9, histories_per_shard=10**7)


def test_two_collectors_do_not_share_a_folder(whole, tmp_path):
    folder = tmp_path / "dataset"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="another process is collecting"):
        collect(folder)
    os.close(handle)
    assert collect(folder).new_shards == 5


def test_a_script_without_main_guard_is_told_so(tmp_path):
    """Spawned processes import the script again; Python's own explanation is printed above ours."""
    script = tmp_path / "script.py"
    script.write_text(f"import hf_icrl\nhf_icrl.collect(**{ARGUMENTS | {'num_proc': 2}!r}, output_dir='out')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert run.returncode != 0
    assert 'must do so under `if __name__ == "__main__":`' in run.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "dark_rom"}, "did you mean 'dark_room'"),
        ({"source": "q_learnin"}, "did you mean 'q_learning'"),
        ({"env_kwargs": {"sise": 4}}, "did you mean 'size'"),
        ({"source_params": {"discont": 0.4}}, "did you mean 'discount'"),
        ({"tasks": "held-out"}, "did you mean 'held_out'"),
        ({"episodes": 0}, "episodes is 0; it must be an integer of at least 1"),
        ({"histories_per_task": 1.5}, "histories_per_task is 1.5"),
        ({"num_proc": 0}, "num_proc is 0"),
        ({"tasks": "held_out", "held_out": 0}, "there are no held_out tasks"),
        ({"family": task_family("dark_room")}, "env_kwargs .* beside a family that is an object"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        collect(tmp_path / "dataset", **change)
    assert not (tmp_path / "dataset").exists()


def test_objects_do_what_names_do(whole, tmp_path):
    family = task_family("dark_room", size=4, horizon=8)
    collect(tmp_path / "objects", family=family, source=make_source("q_learning"), env_kwargs=None)
    assert bytes_of(tmp_path / "objects") == bytes_of(whole.path)


def test_held_out_tasks_can_be_collected_too(tmp_path):
    collection = collect(tmp_path / "dataset", tasks="held_out", validation=0)
    assert set(collection.dataset["split"]) == {"held_out"}
    held_out = collection.info["tasks"]["held_out"]
    assert collection.dataset["task"][:: collection.info["episodes"]] == held_out * 3


def test_optional_columns_of_a_source_are_kept(tmp_path):
    collection = collect(
        tmp_path / "dataset",
        source="noise_curriculum",
        source_params={"eps_start": 0.0},
        columns=["optimal_actions", "time"],
    )
    assert collection.dataset["optimal_actions"] == collection.dataset["actions"]
    assert all(times == list(range(len(times))) for times in collection.dataset["time"])
    assert set(HistoryWindows(collection.dataset, length=9, num_windows=1)[0]) >= {"observations", "labels"}


def test_the_plan_is_said_beforehand(tmp_path, capsys):
    collection = collect(tmp_path / "dataset", progress=True, episodes=200, histories_per_shard=None)
    said = capsys.readouterr().out
    assert "30 histories (10 train tasks x 3) of 200 episodes: at most 48,000 transitions" in said
    planned = float(said.split("transitions, ")[1].split(" MB")[0])
    assert planned * 1e6 == pytest.approx(collection.info["num_bytes"], rel=0.15)


def test_the_result_shows_the_mean_return_of_each_episode(whole):
    returns = np.array([sum(rewards) for rewards in whole.dataset["rewards"]]).reshape(-1, 5)
    np.testing.assert_allclose(whole.returns, returns.mean(0))
    text = str(whole)
    assert "1,200 (" in text
    assert re.search(rf"mean return +{whole.returns[0]:.2f} \S+ {whole.returns[-1]:.2f}, first to last episode", text)
    html = ElementTree.fromstring(whole._repr_html_())
    rows = dict([cell.text or "" for cell in row] for row in html.iter("tr"))
    assert rows["learning histories"] == str(whole.path)
    picture = html.find("img").attrib["src"].partition("base64,")[2]
    assert base64.b64decode(picture) == source_curve_png(whole.info)


def test_the_description_comes_from_the_info_alone(whole):
    rows = dict(describe_histories("some/folder", whole.info))
    assert rows["environment"].startswith("hf_icrl/DarkRoom-v0(size=4, start='center'")
    assert rows["observations, actions"] == "Discrete(n=16), Discrete(n=5)"
    assert rows["source algorithm"].startswith("q_learning(learning_rate=0.9933, ")
    assert rows[""] == make_source("q_learning").describe()
    assert rows["tasks"] == "10 train, 2 validation, 3 held-out; collected on train"
    assert rows["histories"] == "30 (3 a task) of 5 episodes, seed 0"
    assert rows["made by"] == f"hf-icrl {hf_icrl.__version__}"
    by_hand = dict(describe_histories("some/folder", {**whole.info, "command": "hf-icrl collect"}))
    assert by_hand["made by"] == f"hf-icrl {hf_icrl.__version__}: hf-icrl collect"


def test_every_module_that_makes_histories_is_in_the_code_digest():
    """What is loaded to generate a shard decides its bits, but for what is listed here."""
    before = """
        import sys
        from hf_icrl.dataset_builders.code_digest import code_files
        from hf_icrl.dataset_builders.plan import CollectionPlan

        list(CollectionPlan("dark_room", sys.argv[1], histories_per_task=1, episodes=1).tables(0, "."))
        for module in list(sys.modules.values()):
            if module.__name__.startswith("hf_icrl") and not module.__file__.endswith("__init__.py"):
                print(module.__name__, any(str(path) == module.__file__ for path in code_files()))
    """
    free = {"checks", "files", "naming", "lazy", "registration", "tasks", "untrusted", "histories.unavailable"} | {
        f"dataset_builders.{name}" for name in ("code_digest", "shard_sizes")
    }
    for source in ("noise_curriculum", "q_learning"):
        command = [sys.executable, "-c", textwrap.dedent(before), source]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        modules = dict(line.removeprefix("hf_icrl.").split() for line in lines)
        assert {name for name, covered in modules.items() if covered == "False"} == free
        assert {"envs.dark_room_vector", "envs.family", "splits", "counter_random", f"sources.{source}"} <= set(
            modules
        )

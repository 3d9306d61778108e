"""Mixtures of learning histories: collected, described, drawn from, refused."""

import json

import numpy as np
import pytest
from datasets import DatasetDict, load_from_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from tests_support import digest

from hf_icrl import HistoryWindows, MixtureWindows, collect, collect_mixture
from hf_icrl.histories import joint_space, load_parts, read_info

NOISE = {"name": "noise", "weight": 3, "family": "dark_room", "source": "noise_curriculum"}
Q = {"name": "q", "family": "dark_room", "source": "q_learning"}
SIZE = {"histories_per_task": 1, "episodes": 4}


def mixture(folder, parts=(NOISE, Q), env_kwargs=({"size": 4}, {"size": 4}), **options):
    parts = [{**part, **SIZE, "env_kwargs": kwargs} for part, kwargs in zip(parts, env_kwargs, strict=True)]
    return collect_mixture(parts, folder, progress=False, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixture") / "dataset"
    mixture(folder)
    return folder


def test_a_mixture_opens_as_a_dict_of_its_parts_which_are_what_collect_makes(folder, tmp_path):
    parts = load_from_disk(str(folder))
    assert isinstance(parts, DatasetDict)
    assert list(parts) == ["noise", "q"]
    alone = collect(
        "dark_room", "q_learning", env_kwargs={"size": 4}, output_dir=tmp_path / "q", progress=False, **SIZE
    )
    assert parts["q"].to_list() == alone.dataset.to_list()
    info = read_info(folder)
    assert [(part["name"], part["weight"]) for part in info["mixture"]] == [("noise", 3), ("q", 1.0)]
    assert info["num_transitions"] == sum(len(r) for part in parts.values() for r in part["rewards"])
    loaded, again = load_parts(folder)
    assert again == info
    assert [part.info["source"]["name"] for part in loaded] == ["noise_curriculum", "q_learning"]


def test_collecting_again_changes_nothing_and_an_interrupted_mixture_goes_on(folder, tmp_path):
    mixture(tmp_path / "again")
    before = digest(tmp_path / "again")
    assert {k: v for k, v in before.items() if k.endswith(".arrow")} == {
        k: v for k, v in digest(folder).items() if k.endswith(".arrow")
    }
    for name in ("dataset_dict.json", "history_info.json", "q/state.json", "q/data-00000-of-00001.arrow"):
        (tmp_path / "again" / name).unlink()
    mixture(tmp_path / "again")
    assert digest(tmp_path / "again") == before


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40), indices=st.lists(st.integers(0, 499), min_size=1, max_size=40))
def test_a_window_depends_on_seed_and_index_alone(folder, seed, indices):
    datasets = list(load_from_disk(str(folder)).values())
    windows = MixtureWindows(datasets, [3, 1], length=30, num_windows=500, seed=seed)
    batch = windows.__getitems__(indices)
    for index, window in zip(indices, batch, strict=True):
        for key, value in windows[index].items():
            assert np.array_equal(window[key], value)


def test_parts_are_drawn_by_their_weights_and_their_windows_are_their_own(folder):
    datasets = list(load_from_disk(str(folder)).values())
    windows = MixtureWindows(datasets, [3, 1], length=30, num_windows=4000, seed=5)
    own = [
        HistoryWindows(d, length=30, num_windows=4000, seed=part.seed)
        for d, part in zip(datasets, windows.parts, strict=True)
    ]
    counts = np.zeros(2)
    for index, window in enumerate(windows.__getitems__(list(range(4000)))):
        same = [np.array_equal(window["labels"], part[index]["labels"]) for part in own]
        assert any(same)
        if same != [True, True]:
            counts += same
    # Standard error of a share of 3/4 over 4000 draws: 0.007.
    assert counts[0] / counts.sum() == pytest.approx(0.75, abs=0.035)


def test_differing_spaces_are_refused_by_name_or_padded_as_asked(tmp_path):
    sizes = ({"size": 4}, {"size": 5})
    with pytest.raises(
        ValueError, match=r"parts 'noise' and 'q' .* observation_space: Discrete\(n=16\) and Discrete\(n=25\)"
    ):
        mixture(tmp_path / "refused", env_kwargs=sizes)
    assert not (tmp_path / "refused").exists()
    mixture(tmp_path / "padded", env_kwargs=sizes, reconcile="pad")
    assert read_info(tmp_path / "padded")["observation_space"] == {"type": "Discrete", "n": 25}
    box = {"type": "Box", "shape": [2], "low": [0.0, 0.0], "high": [1.0, 1.0]}
    with pytest.raises(ValueError, match="only Discrete spaces, or MultiDiscrete"):
        joint_space({"a": box, "b": {"type": "Discrete", "n": 4}}, "action_space", pad=True)
    pairs = {"a": {"type": "MultiDiscrete", "nvec": [5, 9]}, "b": {"type": "MultiDiscrete", "nvec": [7, 7]}}
    assert joint_space(pairs, "observation_space", pad=True)["nvec"] == [7, 9]


def test_what_a_part_holds_out_no_other_part_may_train_on(tmp_path):
    with pytest.raises(ValueError, match=r"held_out tasks of part 'noise'|train tasks of part 'noise'"):
        mixture(tmp_path / "leak", parts=(NOISE, {**Q, "split_seed": 1}))
    with pytest.raises(ValueError, match=r"train tasks of part 'q' and one of the train tasks of part 'noise'"):
        mixture(tmp_path / "leak", parts=(NOISE, {**Q, "tasks": "held_out"}))
    assert not (tmp_path / "leak").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a/b"}, "is called 'a/b'"),
        ({"name": "noise"}, "at least two parts of different names"),
        ({"weight": 0}, "has the weight 0"),
        ({"weight": "2"}, "has the weight '2'"),
        ({"num_proc": 2}, "has 'num_proc', which belongs to the mixture"),
    ],
)
def test_bad_parts_are_named_and_nothing_is_written(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        mixture(tmp_path / "bad", parts=(NOISE, {**Q, **change}))
    assert not (tmp_path / "bad").exists()


def test_a_folder_of_something_else_is_left_alone(folder, tmp_path):
    with pytest.raises(ValueError, match=r"weight = 3, now it is 2"):
        mixture(folder, parts=({**NOISE, "weight": 2}, Q))
    (tmp_path / "mine.txt").write_text("hands off")
    with pytest.raises(ValueError, match="holds no mixture"):
        mixture(tmp_path)
    collect("dark_room", "q_learning", env_kwargs={"size": 3}, output_dir=tmp_path / "plain", progress=False, **SIZE)
    with pytest.raises(ValueError, match="holds a plain collection"):
        mixture(tmp_path / "plain")
    assert json.loads((folder / "collection.json").read_text())["mixture"]["reconcile"] == "refuse"


def test_bad_weights_and_indices_are_named(folder):
    datasets = list(load_from_disk(str(folder)).values())
    with pytest.raises(ValueError, match="2 data sets have the weights"):
        MixtureWindows(datasets, [1], length=10, num_windows=5)
    with pytest.raises(ValueError, match="give each one above 0"):
        MixtureWindows(datasets, [1, 0], length=10, num_windows=5)
    with pytest.raises(IndexError, match="there are 5 windows"):
        MixtureWindows(datasets, [1, 2], length=10, num_windows=5)[5]

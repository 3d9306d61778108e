"""Space specs, the columns' types, and `history_info.json`."""

import ast
import json
import re

import gymnasium
import numpy as np
import pytest
from datasets import List, Value
from hypothesis import given
from hypothesis import strategies as st

from hf_icrl.histories import history_features, read_info, space_to_spec, spec_text, spec_to_space, write_info

bounds = st.floats(-1e6, 1e6, width=32) | st.sampled_from([float("inf")])
shapes = st.lists(st.integers(1, 3), max_size=3)


@st.composite
def boxes(draw):
    shape = draw(shapes)
    size = int(np.prod(shape))
    high = np.array(draw(st.lists(bounds, min_size=size, max_size=size)), np.float32).reshape(shape)
    low = np.where(np.isinf(high), -np.inf, high - 1).astype(np.float32)
    return gymnasium.spaces.Box(low, high, tuple(shape), np.float32)


spaces = (
    st.integers(1, 10**6).map(gymnasium.spaces.Discrete)
    | st.lists(st.integers(1, 100), min_size=1, max_size=4).map(gymnasium.spaces.MultiDiscrete)
    | boxes()
    | shapes.map(lambda shape: gymnasium.spaces.Box(0, 255, tuple(shape), np.uint8))
)


@given(space=spaces)
def test_specs_are_json_and_give_the_space_back(space):
    spec = space_to_spec(space)
    assert spec_to_space(json.loads(json.dumps(spec))) == space


@given(observation=spaces, action=spaces)
def test_info_gives_the_specs_back_and_is_strict_json(tmp_path_factory, observation, action):
    folder = tmp_path_factory.mktemp("info")
    info = {"observation_space": space_to_spec(observation), "action_space": space_to_spec(action), "seed": 3}
    write_info(folder, info)
    assert read_info(folder) == info
    text = (folder / "history_info.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (gymnasium.spaces.Discrete(4, start=1), "starts at 1"),
        (gymnasium.spaces.MultiDiscrete([[2, 3]]), r"shape \(1, 2\)"),
        (gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(2)), "Dict space has no place"),
        (gymnasium.spaces.Text(4), "Text space has no place"),
    ],
)
def test_spaces_that_no_history_holds_are_refused(space, message):
    with pytest.raises(ValueError, match=message):
        space_to_spec(space)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"type": "Discrete"},
        {"type": "Discrete", "n": 0},
        {"type": "Discrete", "n": True},
        {"type": "MultiDiscrete", "nvec": []},
        {"type": "Box", "shape": [2], "low": [0.0], "high": [1.0, 1.0]},
        {"type": "Cube", "n": 3},
        "Discrete",
    ],
)
def test_specs_that_are_none_are_refused(spec):
    with pytest.raises(ValueError, match="no space spec") as error:
        spec_to_space(spec)
    # What the message tells to write is right itself.
    examples = re.findall(r"{[^{}]*}", str(error.value).partition("; write ")[2])
    assert [spec_to_space(ast.literal_eval(example)).__class__.__name__ for example in examples] == [
        "Discrete",
        "MultiDiscrete",
        "Box",
    ]


def test_a_spec_in_one_line():
    assert spec_text({"type": "MultiDiscrete", "nvec": [9, 9]}) == "MultiDiscrete(nvec=[9, 9])"
    box = {"type": "Box", "shape": [2], "low": [-1.0, -1.0], "high": [1.0, float("inf")]}
    assert spec_text(box) == "Box(shape=[2], low=-1, high=[1.0, inf])"


def test_types_follow_the_spaces():
    image = gymnasium.spaces.Box(0, 255, (4, 4, 3), np.uint8)
    box = {"type": "Box", "shape": [2], "low": [-1.0, -1.0], "high": [1.0, 1.0]}
    task = {"goal": [1, 2], "gain": 0.5, "name": "a", "wet": True, "arms": [0, 0.5], "room": {"size": 3}}
    features = history_features(image, box, task, optional=["optimal_actions", "log_probs"])
    assert features["observations"] == List(List(Value("uint8"), length=48))
    assert features["final_observation"] == List(Value("uint8"), length=48)
    assert features["actions"] == features["optimal_actions"] == List(List(Value("float32"), length=2))
    assert features["log_probs"] == features["rewards"] == List(Value("float32"))
    assert features["task"] == {
        "goal": List(Value("int64")),
        "gain": Value("float64"),
        "name": Value("string"),
        "wet": Value("bool"),
        "arms": List(Value("float64")),
        "room": {"size": Value("int64")},
    }


@pytest.mark.parametrize("task", [{}, {"goal": []}, {"goal": None}, {"goal": ["a", 1]}, [1, 2], {"goal": object()}])
def test_tasks_that_no_column_holds_are_refused(task):
    space = {"type": "Discrete", "n": 3}
    with pytest.raises(ValueError, match="task"):
        history_features(space, space, task)


def test_an_unknown_optional_column_names_the_nearest():
    space = {"type": "Discrete", "n": 3}
    with pytest.raises(ValueError, match="'optimal_action': did you mean 'optimal_actions'"):
        history_features(space, space, {"goal": 1}, optional=["optimal_action"])


def test_a_folder_without_info_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="point to a folder made by `hf-icrl collect`"):
        read_info(tmp_path)
    (tmp_path / "history_info.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        read_info(tmp_path)
    for other in ('{"format_version": 99}', "[]"):
        (tmp_path / "history_info.json").write_text(other)
        with pytest.raises(ValueError, match="format version"):
            read_info(tmp_path)

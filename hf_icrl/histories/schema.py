"""The columns of a learning-history dataset and their types. One row is one episode."""

import math

import pyarrow as pa
from datasets import Features, List, Value

from hf_icrl.histories.spaces import as_spec, spec_text
from hf_icrl.naming import nearest

# The columns that every learning history has, in their order on disk.
COLUMNS = (
    "history_id",
    "episode",
    "task",
    "env_id",
    "source",
    "split",
    "observations",
    "actions",
    "rewards",
    "terminated",
    "truncated",
    "final_observation",
)
# Columns with one value a step: their lists have the same length within a row.
STEP_COLUMNS = ("observations", "actions", "rewards")
# The optional column that says which actions a task has.
ACTION_SETS = "available_actions"
# Columns that may be added -> the type of one step's value; "action" means that of the action space, and "action set"
# one bool for each action, once an episode (see `hf_icrl.histories.action_sets`).
OPTIONAL_COLUMNS = {
    "optimal_actions": "action",
    "log_probs": "float32",
    "time": "int32",
    "feedback": "float32",
    ACTION_SETS: "action set",
}


def history_features(observation_space, action_space, task_example, optional=()):
    """The `datasets.Features` of learning histories over these spaces.

    Args:
        observation_space, action_space: gymnasium spaces, or their specs (see `hf_icrl.histories.spaces`).
        task_example (`dict`): one task of the family; its keys and the types of its values make the `task` column.
        optional (iterable of `str`): names out of `OPTIONAL_COLUMNS`, each of one value a step, but for
            "available_actions": one bool for each action, once an episode.

    Returns:
        `datasets.Features`: `observations` is `List(int64)` for Discrete, `List(List(int64, length=k))` for
        MultiDiscrete, `List(List(float32, length=d))` for Box (uint8 for images; d = all axes flattened, the shape
        stands in `history_info.json`); `actions` likewise.

    Raises:
        ValueError: a space that has no place in a history, a task that is no plain dict, an unknown optional column,
            or "available_actions" where actions are not Discrete.
    """
    observation_spec, action_spec = as_spec(observation_space), as_spec(action_space)
    observation, action = element_feature(observation_spec), element_feature(action_spec)
    features = {
        "history_id": Value("int64"),
        "episode": Value("int32"),
        "task": task_feature(task_example),
        "env_id": Value("string"),
        "source": Value("string"),
        "split": Value("string"),
        "observations": List(observation),
        "actions": List(action),
        "rewards": List(Value("float32")),
        "terminated": Value("bool"),
        "truncated": Value("bool"),
        "final_observation": observation,
    }
    for name in optional:
        if name not in OPTIONAL_COLUMNS:
            raise ValueError(f"unknown optional column {name!r}: {nearest(name, OPTIONAL_COLUMNS)}")
        kind = OPTIONAL_COLUMNS[name]
        if kind == "action set" and action_spec["type"] != "Discrete":
            raise ValueError(
                f"the optional column {name!r} needs Discrete actions, but the action space is {spec_text(action_spec)}"
            )
        features[name] = List(action if kind == "action" else Value("bool" if kind == "action set" else kind))
    return Features(features)


def element_feature(spec):
    """The feature of one observation or one action in the space `spec`."""
    if spec["type"] == "Discrete":
        return Value("int64")
    if spec["type"] == "MultiDiscrete":
        return List(Value("int64"), length=len(spec["nvec"]))
    return List(Value(spec.get("dtype", "float32")), length=math.prod(spec["shape"]))


def task_feature(task):
    """The feature of a task: a struct of what its values are. Lists may nest but not be empty or mixed."""
    if not isinstance(task, dict) or not task:
        raise ValueError(f"a task must be a dict with at least one entry (the environment's arguments), not {task!r}")
    return {str(name): _value_feature(value, name) for name, value in task.items()}


def _value_feature(value, name):
    # bool before int: True is an int in Python.
    for kind, dtype in ((bool, "bool"), (int, "int64"), (float, "float64"), (str, "string")):
        if isinstance(value, kind):
            return Value(dtype)
    if isinstance(value, dict) and value:
        return {str(key): _value_feature(inner, f"{name}.{key}") for key, inner in value.items()}
    if isinstance(value, list) and value:
        inner = [_value_feature(item, name) for item in value]
        if all(feature == inner[0] for feature in inner):
            return List(inner[0])
        if all(feature in (Value("int64"), Value("float64")) for feature in inner):
            return List(Value("float64"))
    raise ValueError(
        f"task entry {name!r} is {value!r}; a task holds bools, ints, floats, strings, and non-empty lists or dicts of "
        "one kind of these (a large array belongs into the environment's arguments)"
    )


def element_width(arrow_type):
    """How many numbers make one step's value of this Arrow type (1 for a plain number)."""
    return arrow_type.list_size if pa.types.is_fixed_size_list(arrow_type) else 1

"""Gymnasium spaces as plain JSON values, and back.

A space spec stands in `history_info.json` and in every model's config:

* `{"type": "Discrete", "n": 81}`
* `{"type": "MultiDiscrete", "nvec": [9, 9]}`
* `{"type": "Box", "shape": [4], "low": [...], "high": [...]}` with bounds in row-major order, of float32; an image
  (uint8) has `"dtype": "uint8"` too and no bounds, since they are always 0 and 255.
"""

import math

import numpy as np

from hf_icrl.naming import shortened

# Arrays of a Box are as large as its shape says. Images of 8192 x 8192 fit in; a file that asks for more is damaged.
MAX_BOX_NUMBERS = 2**26


def space_to_spec(space):
    """The spec of a gymnasium space: Discrete (from 0), MultiDiscrete (1-D, from 0), Box (float32, or uint8 images).

    Returns:
        `dict` of Python numbers, strings and lists. Bounds of a Box may be infinite.

    Raises:
        ValueError: the space is of another kind; the message says which wrapper helps.
    """
    kind = type(space).__name__
    if kind == "Discrete":
        if int(space.start) != 0:
            raise ValueError(
                f"Discrete space starts at {int(space.start)}, learning histories number from 0: wrap the environment "
                "so that its values start at 0"
            )
        return {"type": "Discrete", "n": int(space.n)}
    if kind == "MultiDiscrete":
        if space.nvec.ndim != 1 or np.any(space.start):
            raise ValueError(
                f"MultiDiscrete space has nvec of shape {space.nvec.shape} and start {space.start.tolist()}; learning "
                "histories need one axis and values from 0: wrap the environment"
            )
        return {"type": "MultiDiscrete", "nvec": [int(n) for n in space.nvec]}
    if kind == "Box":
        shape = [int(s) for s in space.shape]
        if space.dtype == np.uint8:
            return {"type": "Box", "dtype": "uint8", "shape": shape}
        low, high = (np.asarray(bound, np.float32).ravel().tolist() for bound in (space.low, space.high))
        return {"type": "Box", "shape": shape, "low": low, "high": high}
    raise ValueError(
        f"a {kind} space has no place in a learning history (Discrete, MultiDiscrete and Box have): flatten it with "
        "gymnasium.wrappers.FlattenObservation, or use Discrete(1) for an environment without observation"
    )


def spec_to_space(spec):
    """The gymnasium space of a spec; the inverse of `space_to_spec` (a Box always comes back as float32 or uint8)."""
    from gymnasium import spaces

    check_spec(spec)
    if spec["type"] == "Discrete":
        return spaces.Discrete(spec["n"])
    if spec["type"] == "MultiDiscrete":
        return spaces.MultiDiscrete(spec["nvec"])
    shape = tuple(spec["shape"])
    if spec.get("dtype") == "uint8":
        return spaces.Box(0, 255, shape, np.uint8)
    low, high = (np.asarray(spec[bound], np.float32).reshape(shape) for bound in ("low", "high"))
    return spaces.Box(low, high, shape, np.float32)


def as_spec(space):
    """The spec of `space`, which may be a gymnasium space or a spec already (checked)."""
    if isinstance(space, dict):
        check_spec(space)
        return space
    return space_to_spec(space)


def joint_space(specs, what, pad):
    """The space that histories over several spaces are trained in together.

    Args:
        specs (`dict[str, dict]`): name of a part of the mixture -> its space spec.
        what (`str`): "observation_space" or "action_space", for the message.
        pad (`bool`): let discrete spaces differ in size: the joint one is the smallest that holds them all.

    Returns:
        `dict`: a space spec.

    Raises:
        ValueError: naming two parts whose spaces differ (in kind or shape, where `pad`), and both spaces.
    """
    (first, joint), *rest = specs.items()
    for name, spec in rest:
        merged = _padded(joint, spec) if pad else (joint if joint == spec else None)
        if merged is None:
            advice = (
                "only Discrete spaces, or MultiDiscrete ones of as many factors, can be padded"
                if pad
                else "leave one out, give the environments arguments that make them equal, or say reconcile: pad"
            )
            raise ValueError(
                f"the parts {first!r} and {name!r} of the mixture differ in their {what}: {spec_text(specs[first])} "
                f"and {spec_text(spec)}; {advice}"
            )
        joint = merged
    return joint


def _padded(a, b):
    if a == b:
        return a
    if a["type"] == b["type"] == "Discrete":
        return {"type": "Discrete", "n": max(a["n"], b["n"])}
    if a["type"] == b["type"] == "MultiDiscrete" and len(a["nvec"]) == len(b["nvec"]):
        return {"type": "MultiDiscrete", "nvec": [max(pair) for pair in zip(a["nvec"], b["nvec"], strict=True)]}
    return None


def check_values(array, spec, what):
    """Raise `ValueError` if a value of `array` (..., *element) is outside the space `spec`, naming value and space.

    Boxes are not checked: many environments leave theirs now and then.
    """
    if spec["type"] == "Box":
        return
    limit = np.asarray(spec["n"] if spec["type"] == "Discrete" else spec["nvec"])
    wrong = (array < 0) | (array >= limit)
    if wrong.any():
        raise ValueError(f"{what} hold the value {array[wrong][0]}, which is outside their space {spec}")


def spec_text(spec):
    """A spec in a line: `Discrete(n=81)`. A bound that is the same everywhere is one number."""
    rest = []
    for name, value in spec.items():
        if name in ("low", "high") and isinstance(value, list) and len(set(value)) == 1:
            value = f"{value[0]:g}"
        if name != "type":
            rest.append(f"{name}={value}")
    return f"{spec['type']}({', '.join(rest)})"


def check_spec(spec):
    """Raise `ValueError` naming what is wrong with a space spec."""
    kind = spec.get("type") if isinstance(spec, dict) else None
    if kind == "Discrete":
        ok = _positive(spec.get("n"))
    elif kind == "MultiDiscrete":
        ok = isinstance(spec.get("nvec"), list) and spec["nvec"] and all(_positive(n) for n in spec["nvec"])
    elif kind == "Box":
        ok = isinstance(spec.get("shape"), list) and all(_positive(s) for s in spec["shape"])
        ok = (
            ok and math.prod(spec["shape"]) <= MAX_BOX_NUMBERS and spec.get("dtype", "float32") in ("float32", "uint8")
        )
        if ok and spec.get("dtype") != "uint8":
            bounds = [spec.get("low"), spec.get("high")]
            ok = all(isinstance(b, list) and len(b) == math.prod(spec["shape"]) for b in bounds)
            ok = ok and all(isinstance(x, (int, float)) for bound in bounds for x in bound)
    else:
        ok = False
    if not ok:
        raise ValueError(
            f"{shortened(spec)} is no space spec; write {{'type': 'Discrete', 'n': 81}}, {{'type': 'MultiDiscrete', 'nvec': "
            "[9, 9]} or {'type': 'Box', 'shape': [2], 'low': [-1.0, -1.0], 'high': [1.0, 1.0]}"
        )


def _positive(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63

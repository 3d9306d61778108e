"""Observation and action spaces as plain JSON, the way a config stores them, and the checks that go with them."""

import math
from dataclasses import dataclass

import numpy as np

_KEYS = {
    "Discrete": {"type", "n", "start"},
    "MultiDiscrete": {"type", "nvec", "start"},
    "Box": {"type", "shape", "low", "high", "dtype"},
}


@dataclass(frozen=True)
class SpaceSpec:
    """A space, parsed. Build it with `parse_space`.

    Attributes:
        kind (`str`): "Discrete", "MultiDiscrete" or "Box".
        shape (`tuple[int]`): shape of one value; `()` for Discrete, `(factors,)` for MultiDiscrete.
        sizes (`tuple[int]`): number of values of each discrete factor; empty for Box.
        start (`np.ndarray`): smallest value of each discrete factor, shape `shape`; 0 for Box.
        low, high (`np.ndarray`): inclusive float32 bounds of shape `shape` (Box), or int64 bounds (discrete).
    """

    kind: str
    shape: tuple
    sizes: tuple
    start: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def is_discrete(self):
        return self.kind != "Box"

    @property
    def dtype(self):
        """NumPy dtype of a value: int64 for the discrete kinds, float32 for Box."""
        return np.dtype(np.int64 if self.is_discrete else np.float32)

    @property
    def flat_size(self):
        """How many numbers one value has."""
        return math.prod(self.shape)

    def describe(self):
        """The space in the words of an error message."""
        if self.kind == "Discrete":
            return f"Discrete({self.sizes[0]}), integers {self.low} to {self.high}"
        if self.kind == "MultiDiscrete":
            return f"MultiDiscrete({list(self.sizes)})"
        return f"Box of shape {self.shape}, low {_short(self.low)}, high {_short(self.high)}"

    def checked(self, values, what, leading):
        """`values` as a NumPy array of shape `(*leading, *self.shape)` whose every entry lies in the space.

        Args:
            values: NumPy array, list or CPU array-like of integers (discrete kinds) or real numbers (Box).
            what (`str`): the name used in errors, e.g. "observations".
            leading (`tuple[int]`): the batch dimensions that are expected.

        Raises:
            ValueError: wrong shape, wrong kind of number, or a value outside the space (the value, its place and
                the space are named).
        """
        array = np.asarray(values)
        if self.is_discrete and array.dtype.kind not in "iu":
            whole = array.dtype.kind == "f" and np.array_equal(array, np.floor(array))
            if not whole:
                raise ValueError(
                    f"{what} have dtype {array.dtype}, but the model was made for {self.describe()}: pass integers"
                )
        elif not self.is_discrete and array.dtype.kind not in "iuf":
            raise ValueError(f"{what} have dtype {array.dtype}, but the model was made for {self.describe()}")
        array = array.astype(self.dtype, copy=False)
        expected = (*leading, *self.shape)
        if array.shape != expected:
            raise ValueError(
                f"{what} have shape {array.shape}, expected {expected}: {leading} and then one value of "
                f"{self.describe()}"
            )
        # Written so that NaN, which compares false to everything, counts as outside.
        inside = (array >= self.low) & (array <= self.high)
        if not inside.all():
            place = tuple(int(i) for i in np.argwhere(~inside)[0])
            raise ValueError(
                f"{what}{list(place)} is {array[place]}, which is outside the space that the model was made for: "
                f"{self.describe()}. Use the environment that the model was trained on, or train a model for this one"
            )
        return array


def parse_space(spec, what):
    """Parse a space given as a dict.

    Args:
        spec (`dict`): `{"type": "Discrete", "n": 81}`, `{"type": "MultiDiscrete", "nvec": [9, 9]}` (both may have a
            `start`) or `{"type": "Box", "shape": [4], "low": -1.0, "high": [1.0, 1.0, 2.0, 2.0]}`; bounds are one
            number or one number an entry, nested or flat, and may be infinite.
        what (`str`): the name used in errors, e.g. "observation_space".

    Returns:
        `SpaceSpec`.

    Raises:
        ValueError: anything else; says what a space looks like.
    """
    if not isinstance(spec, dict) or spec.get("type") not in _KEYS:
        raise ValueError(
            f"{what} is {spec!r}; it must be a dict such as {{'type': 'Discrete', 'n': 81}}, "
            "{'type': 'MultiDiscrete', 'nvec': [9, 9]} or {'type': 'Box', 'shape': [4], 'low': -1.0, 'high': 1.0}"
        )
    kind = spec["type"]
    unknown = sorted(set(spec) - _KEYS[kind])
    if unknown:
        raise ValueError(f"{what} has the unknown entry {unknown[0]!r}; a {kind} has {sorted(_KEYS[kind])}")
    try:
        return _parse_box(spec, what) if kind == "Box" else _parse_discrete(spec, kind, what)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{what} = {spec!r} is incomplete or has a wrong entry ({error!r})") from error


def _parse_discrete(spec, kind, what):
    shape = () if kind == "Discrete" else (len(spec["nvec"]),)
    sizes = np.asarray(spec["n"] if kind == "Discrete" else spec["nvec"], dtype=np.int64)
    if sizes.size == 0 or (sizes < 1).any():
        raise ValueError(f"{what} = {spec!r}: every number of values must be at least 1")
    start = np.broadcast_to(np.asarray(spec.get("start", 0), dtype=np.int64), shape)
    return SpaceSpec(
        kind, shape, tuple(int(n) for n in sizes.reshape(-1)), start, start, start + sizes.reshape(shape) - 1
    )


def _parse_box(spec, what):
    shape = tuple(int(n) for n in spec["shape"])

    def bound(name, default):
        value = np.asarray(spec.get(name, default), dtype=np.float32)
        if value.ndim and value.size != math.prod(shape):
            raise ValueError(f"{what}: {name} has {value.size} numbers, but the shape {list(shape)} needs one each")
        return value.reshape(shape) if value.ndim else np.broadcast_to(value, shape)

    low, high = bound("low", -np.inf), bound("high", np.inf)
    if not (low <= high).all():
        raise ValueError(f"{what}: low {_short(low)} must not exceed high {_short(high)}")
    return SpaceSpec("Box", shape, (), np.zeros(shape, np.int64), low, high)


def _short(bound):
    """One number where a bound is the same everywhere."""
    if bound.size and (bound == bound.flat[0]).all():
        return f"{bound.flat[0]:g}"
    return np.array2string(bound, threshold=8, separator=", ")

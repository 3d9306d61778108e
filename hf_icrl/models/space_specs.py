"""Observation and action spaces as plain JSON, the way a config stores them, and the checks that go with them."""

import math
from dataclasses import dataclass

import numpy as np

# Arrays of a Box are as large as its shape says. Images of 8192 x 8192 fit in; a file that asks for more is damaged.
_MAX_BOX_NUMBERS = 2**26
_KEYS = {
    "Discrete": {"type", "n"},
    "MultiDiscrete": {"type", "nvec"},
    "Box": {"type", "shape", "low", "high", "dtype"},
}


@dataclass(frozen=True)
class SpaceSpec:
    """A space, parsed. Build it with `parse_space`.

    Attributes:
        kind (`str`): "Discrete", "MultiDiscrete" or "Box".
        shape (`tuple[int]`): shape of one value; `()` for Discrete, `(factors,)` for MultiDiscrete.
        sizes (`tuple[int]`): number of values of each discrete factor, counted from 0; empty for Box.
        low, high (`np.ndarray`): inclusive bounds of shape `shape` and of the type `dtype`.
        dtype (`np.dtype`): of a value: int64 for the discrete kinds, float32 for Box, uint8 for a Box of images.
    """

    kind: str
    shape: tuple
    sizes: tuple
    low: np.ndarray
    high: np.ndarray
    dtype: np.dtype

    @property
    def is_discrete(self):
        return self.kind != "Box"

    @property
    def is_image(self):
        return self.dtype == np.uint8

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
        if self.is_image:
            return f"Box of shape {self.shape}, an image of integers 0 to 255"
        return f"Box of shape {self.shape}, low {_short(self.low)}, high {_short(self.high)}"

    def checked(self, values, what, leading):
        """`values` as a NumPy array of shape `(*leading, *self.shape)` whose every entry lies in the space.

        Args:
            values: NumPy array, list or CPU array-like of integers (discrete kinds, images) or real numbers (Box).
            what (`str`): the name used in errors, e.g. "observations".
            leading (`tuple[int]`): the batch dimensions that are expected.

        Raises:
            ValueError: wrong shape, wrong kind of number, or a value outside the space (the value, its place and
                the space are named).
        """
        array = np.asarray(values)
        if self.dtype.kind in "iu" and array.dtype.kind not in "iu":
            whole = array.dtype.kind == "f" and np.array_equal(array, np.floor(array))
            if not whole:
                raise ValueError(
                    f"{what} have dtype {array.dtype}, but the model was made for {self.describe()}: pass integers"
                )
        elif array.dtype.kind not in "iuf":
            raise ValueError(f"{what} have dtype {array.dtype}, but the model was made for {self.describe()}")
        if not self.is_image:
            # 256 would become 0 in an image; it is compared with the bounds as it is.
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
        return array.astype(self.dtype, copy=False)


def parse_space(spec, what):
    """Parse a space given as a dict.

    Args:
        spec (`dict`): `{"type": "Discrete", "n": 81}` or `{"type": "MultiDiscrete", "nvec": [9, 9]}`, both counted
            from 0, or `{"type": "Box", "shape": [4], "low": -1.0, "high": [1.0, 1.0, 2.0, 2.0]}`, whose bounds are one
            number or one number an entry, nested or flat, and may be infinite, or
            `{"type": "Box", "dtype": "uint8", "shape": [84, 84, 3]}`: an image, whose bounds are always 0 and 255.
        what (`str`): the name used in errors, e.g. "observation_space".

    Returns:
        `SpaceSpec`.

    Raises:
        ValueError: anything else; says what a space looks like.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("type"), str) or spec["type"] not in _KEYS:
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
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{what} = {spec!r} is incomplete or has a wrong entry ({error!r})") from error


def _parse_discrete(spec, kind, what):
    shape = () if kind == "Discrete" else (len(spec["nvec"]),)
    given = np.asarray(spec["n"] if kind == "Discrete" else spec["nvec"])
    if given.dtype.kind not in "iu" or given.shape != shape:
        raise TypeError("the numbers of values must be whole numbers")
    sizes = given.astype(np.int64)
    if sizes.size == 0 or (sizes < 1).any():
        raise ValueError(f"{what} = {spec!r}: every number of values must be at least 1")
    high = sizes.reshape(shape) - 1
    return SpaceSpec(
        kind, shape, tuple(int(n) for n in sizes.reshape(-1)), np.zeros_like(high), high, np.dtype(np.int64)
    )


def _parse_box(spec, what):
    shape = tuple(int(n) for n in spec["shape"])
    if shape != tuple(spec["shape"]) or min(shape, default=1) < 1 or math.prod(shape) > _MAX_BOX_NUMBERS:
        raise ValueError(
            f"{what}: shape is {spec['shape']!r:.200}; it must be whole numbers, of at most {_MAX_BOX_NUMBERS} in all"
        )
    dtype = spec.get("dtype", "float32")
    if dtype not in ("float32", "uint8"):
        raise ValueError(f"{what}: dtype is {dtype!r}; a Box is of 'float32', or of 'uint8' for images")
    if dtype == "uint8":
        if "low" in spec or "high" in spec:
            raise ValueError(f"{what} = {spec!r}: the bounds of an image (uint8) are always 0 and 255; leave them out")
        return SpaceSpec(
            "Box", shape, (), np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), np.dtype(np.uint8)
        )

    def bound(name, default):
        value = np.asarray(spec.get(name, default), dtype=np.float32)
        if value.ndim and value.size != math.prod(shape):
            raise ValueError(f"{what}: {name} has {value.size} numbers, but the shape {list(shape)} needs one each")
        return value.reshape(shape) if value.ndim else np.broadcast_to(value, shape)

    low, high = bound("low", -np.inf), bound("high", np.inf)
    if not (low <= high).all():
        raise ValueError(f"{what}: low {_short(low)} must not exceed high {_short(high)}")
    return SpaceSpec("Box", shape, (), low, high, np.dtype(np.float32))


def _short(bound):
    """One number where a bound is the same everywhere."""
    if bound.size and (bound == bound.flat[0]).all():
        return f"{bound.flat[0]:g}"
    return np.array2string(bound, threshold=8, separator=", ")

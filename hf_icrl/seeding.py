"""Every random number of this library comes from a generator keyed by what it belongs to, never from a global one."""

import zlib

import numpy as np


def generator(seed, domain, *ids):
    """A NumPy generator that depends on `(seed, domain, *ids)` alone.

    Args:
        seed (`int`): the user's seed, in [0, 2**64).
        domain (`str`): what the numbers are for ("window", "noise_curriculum", ...), so that two uses of one
            seed never share a stream.
        ids (`int`): what within the domain (a history id, a window index, ...), each in [0, 2**64).
    """
    return np.random.Generator(np.random.PCG64(seed_sequence(seed, domain, *ids)))


def seed_sequence(seed, domain, *ids):
    """The `SeedSequence` behind `generator`."""
    if int(seed) < 0:
        raise ValueError(f"seed is {seed}; it must be an integer >= 0")
    numbers = [int(seed), zlib.crc32(domain.encode()), len(ids), *(int(i) for i in ids)]
    # SeedSequence pads its entropy with zeros and spells large integers in as many words as they need, so that
    # [0] and [0, 0] would be one key: every number gets exactly two 32-bit words, and the count is among them.
    return np.random.SeedSequence([word for n in numbers for word in (n & 0xFFFFFFFF, n >> 32)])


def derived_seed(seed, domain, *ids):
    """One integer seed in [0, 2**31), for interfaces that take no generator (`env.reset(seed=...)`)."""
    return int(seed_sequence(seed, domain, *ids).generate_state(1)[0] >> 1)

"""Keep the global random streams as they are while other code uses them."""

import random
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def untouched_random_state(device):
    """Restore Python's, NumPy's and torch's global random states on exit.

    Dropout draws from torch's global stream, and even an evaluation without dropout advances it (each `DataLoader`
    iterator draws a base seed), so without this the evaluation schedule would change the trained weights.

    Args:
        device (`torch.device`): the training device; its stream is kept as well as the CPU's.
    """
    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002 (not drawn from)
    # cuda, xpu and mps alike have get_rng_state/set_rng_state for the current device, which is the one trained on.
    accelerator = None if device.type == "cpu" else torch.get_device_module(device)
    on_accelerator = accelerator.get_rng_state() if accelerator else None
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.random.set_rng_state(states[2])
        if accelerator:
            accelerator.set_rng_state(on_accelerator)

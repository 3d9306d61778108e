"""Print the versions that matter, for a bug report."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from hf_icrl import __version__

PACKAGES = [
    "torch",
    "transformers",
    "datasets",
    "peft",
    "trl",
    "accelerate",
    "gymnasium",
    "huggingface_hub",
    "numpy",
    "pyarrow",
    "safetensors",
    "matplotlib",
    "av",
]

USAGE = ""


def add_arguments(parser):
    pass


def versions():
    """Name -> installed version, "not installed" where it is not."""
    found = {"hf-icrl": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def run(args):
    import torch

    rows = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **versions(),
        "cpu cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "executable": sys.executable,
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")

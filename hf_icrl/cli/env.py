"""Print the versions that matter, for a bug report."""

import os
import platform
import sys

from hf_icrl.versions import versions

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


def run(args):
    import torch

    rows = {
        **{name: found or "not installed" for name, found in versions(PACKAGES).items()},
        "platform": platform.platform(),
        "cpu cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "executable": sys.executable,
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")

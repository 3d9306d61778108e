"""Versions of what a result depends on."""

import platform
from importlib.metadata import PackageNotFoundError, version

import hf_icrl

# What decides the figures of a report.
OF_A_RESULT = ("torch", "transformers", "gymnasium", "numpy")


def versions(packages=OF_A_RESULT):
    """Name -> version of hf_icrl, Python and `packages`; None for one that is not installed."""
    found = {"hf_icrl": hf_icrl.__version__, "python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # also a package that was put on the path without being installed
            found[name] = None
    return found

"""Packages whose names are imported on first use, so that importing one of them stays cheap."""

import sys
from importlib import import_module


def lazy_exports(package, modules):
    """`__getattr__`, `__dir__` and `__all__` for the `__init__` of a package.

    Args:
        package (`str`): the package's `__name__`.
        modules (`dict[str, str]`): exported name -> the module below the package that defines it.

    Example:
        >>> __getattr__, __dir__, __all__ = lazy_exports(__name__, {"HistoryWindows": "windows"})
    """
    namespace = sys.modules[package].__dict__

    def __getattr__(name):
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        namespace[name] = value
        return value

    def __dir__():
        return sorted({*namespace, *modules})

    return __getattr__, __dir__, sorted(modules)

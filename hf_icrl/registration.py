"""Register the Auto classes and the gymnasium ids when, and only when, their libraries are imported.

Registering eagerly would import transformers (and with it torch) for every `import hf_icrl`, which costs seconds
and rules out a fast `hf-icrl --help`. So a small finder waits on `sys.meta_path` for the modules that hold the
registries and registers right after one of them has been executed; a library that is already loaded is served at
once. Any import order works.
"""

import importlib.abc
import importlib.machinery
import sys


def _register_configs():
    from hf_icrl.models import register_auto_configs

    register_auto_configs()


def _register_models():
    from hf_icrl.models import register_auto_classes

    register_auto_classes()


def _register_environments():
    from hf_icrl.envs import register_environments

    register_environments()


# The module whose execution completes a registry -> what to call then.
_HOOKS = {
    "transformers.models.auto.configuration_auto": _register_configs,
    "transformers.models.auto.modeling_auto": _register_models,
    "gymnasium.envs": _register_environments,
}


class _AfterImport(importlib.abc.MetaPathFinder):
    """Lets the other finders find a hooked module and wraps its loader; steps aside for everything else."""

    def __init__(self, pending):
        self.pending = pending

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.pending:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _LoaderWithCallback(spec.loader, self.pending)
        return spec


class _LoaderWithCallback(importlib.abc.Loader):
    """Executes the module, then calls back; an execution that fails leaves the callback pending for the next one."""

    def __init__(self, loader, pending):
        self.loader = loader
        self.pending = pending

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        # The module must look untouched to the rest of Python (importlib.resources, inspect, pickle).
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        callback = self.pending.pop(module.__name__, None)
        if callback is not None:
            callback()


def register_lazily():
    """Register now what is already imported, and the rest on import. Called once, by `import hf_icrl`."""
    pending = {name: callback for name, callback in _HOOKS.items() if name not in sys.modules}
    if pending:
        sys.meta_path.insert(0, _AfterImport(pending))
    for name, callback in _HOOKS.items():
        if name not in pending:
            callback()

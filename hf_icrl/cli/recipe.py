"""Recipes: one YAML file that reproduces one result, with command-line overrides.

Sections: `environment` (which tasks), `collect` (which histories), `mixture` (several kinds of them), `model`, `train`,
`evaluate`. Every key is checked against what reads it; an unknown one is an error that names the nearest valid key.
"""

import copy
import math
import re
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import get_type_hints

import yaml

from hf_icrl.checks import checked_choice, checked_int, checked_number
from hf_icrl.cli.errors import UsageError
from hf_icrl.cli.recipe_values import RecipeDumper, RecipeLoader, fits, merged, type_name
from hf_icrl.naming import nearest, shortened
from hf_icrl.redaction import has_token
from hf_icrl.untrusted import MAX_YAML_BYTES, check_plain, inside, parse_yaml, read_text


@dataclass
class EnvironmentSection:
    """Which tasks: a task family, its environment's arguments, and how it is split."""

    family: str
    kwargs: dict = field(default_factory=dict)
    split_seed: int = 0
    held_out: float | int | str | list = (
        0.2  # a fraction, a number, a published split, or the held-out tasks themselves
    )
    population: dict | None = None  # which tasks there are at all: the arguments of TaskFamily.sample
    validation: int = 0  # how many train tasks are set aside for choices (temperature, stopping)


@dataclass
class CollectSection:
    """Which learning histories: a source algorithm, its parameters, and how many."""

    source: str
    histories_per_task: int
    episodes: int  # of each run of the source
    params: dict = field(default_factory=dict)
    columns: list = field(default_factory=list)  # optional ones: time, optimal_actions, log_probs
    subsample: int = 1  # keep every k-th episode of a run
    skip: int = 0  # leave out so many at its beginning
    keep: int | None = None  # and keep at most so many
    seed: int = 0
    num_proc: int = 1


@dataclass
class MixtureSection:
    """Several kinds of histories to train on together; the sections environment and collect are what parts share."""

    parts: (
        list  # each {name, weight, environment: {...}, collect: {...}: what differs from this recipe's sections, or from
        # those of `recipe: NAME`, a shipped one or a file beside this one; with `recipe: null` it says everything itself}
    )
    reconcile: str = "refuse"  # or "pad": discrete spaces that differ get the size of the largest


@dataclass
class EvaluateSection:
    """How the model is rolled out. What is null comes from the model's own config."""

    episodes: int = 100
    seeds: int = 10
    seed: int = 0
    last_episodes: int = 5
    evaluation_set: str = "held_out"
    temperature: float | None = None
    overflow: str | None = None
    refill_keep: int | None = None
    act_with_dropout: bool | None = None  # the published Headless-AD left it on
    sets: list = field(default_factory=list)  # names of TaskFamily.evaluation_sets, or of the recipe's own tasks
    tasks_per_set: int = 100  # of those that are drawn, at most of others; `seed` says which
    max_rows: int | None = None  # of all sets together that are rolled out at once; null: all


SECTIONS = ("environment", "collect", "mixture", "model", "train", "evaluate")
_DATACLASSES = {
    "environment": EnvironmentSection,
    "collect": CollectSection,
    "mixture": MixtureSection,
    "evaluate": EvaluateSection,
}
# What the section environment divides tasks into.
_OWN_SETS = ("train", "validation", "held_out")
_PART_KEYS = ("name", "weight", "recipe", "environment", "collect")
METHODS = {
    "algorithm_distillation": ("AlgorithmDistillationConfig", "AlgorithmDistillationModel"),
    "headless_ad": ("HeadlessADConfig", "HeadlessADModel"),
}
# Fields of ICRLConfig that the recipe must not set, with what to use instead.
_TRAIN_RESERVED = {
    "output_dir": "--output_dir",
    "num_train_epochs": "train.max_steps",
    # A recipe is published with the model.
    "hub_token": "the environment variable HF_TOKEN, or `hf auth login`",
}


class Recipe:
    """A checked recipe. `environment`, `collect` and `evaluate` are dataclasses, `model` and `train` plain dicts.

    Args:
        values (`dict`): the sections.
        origin (`str`): where they come from, for messages.
        folder (`Path`, *optional*): the parts of its mixture may name recipe files in it; None: shipped recipes only.

    Raises:
        UsageError: no mapping of sections, an unknown one, values that are not plain, or an access token.
    """

    def __init__(self, values, origin, folder=None):
        if not isinstance(values, dict):
            raise UsageError(f"{origin}: a recipe is a mapping with the sections {', '.join(SECTIONS)}")
        for name in values:
            if name not in SECTIONS:
                raise UsageError(f"{origin}: unknown section {name!r}: {nearest(name, SECTIONS)}")
            if not isinstance(values[name], dict):
                raise UsageError(f"{origin}: section {name!r} is {shortened(values[name])}; it must be a mapping")
        self.origin = origin
        self.values = values
        self.folder = folder
        self._check_no_token(values, "")

    @classmethod
    def load(cls, name_or_path, overrides=()):
        """Read a recipe file, or a shipped recipe by its name, and apply `["--section.key", "value", ...]`."""
        path = Path(name_or_path)
        shipped = {
            p.name.removesuffix(".yaml"): p for p in files("hf_icrl.recipes").iterdir() if p.name.endswith(".yaml")
        }
        if path.suffix in (".yaml", ".yml"):
            if not path.is_file():
                raise UsageError(f"recipe {path} does not exist")
            try:
                text = read_text(path, MAX_YAML_BYTES)
            except ValueError as error:
                raise UsageError(str(error)) from error
            return cls.from_text(text, origin=str(path), overrides=overrides, folder=path.parent)
        if str(name_or_path) not in shipped:
            raise UsageError(
                f"no recipe {str(name_or_path)!r}: give a .yaml file or a shipped recipe, {nearest(name_or_path, shipped)}"
            )
        text = shipped[str(name_or_path)].read_text(encoding="utf-8")
        return cls.from_text(text, origin=str(name_or_path), overrides=overrides)

    @classmethod
    def from_text(cls, text, origin, overrides=(), folder=None):
        """Parse YAML text; see `load`, and the class for `folder`."""
        try:
            values = parse_yaml(text, origin, RecipeLoader)
        except ValueError as error:
            raise UsageError(str(error)) from error
        recipe = cls(values, origin, folder)
        recipe.override(overrides)
        return recipe

    def override(self, overrides):
        """Apply `["--section.key", "value", "--section.key=value", ...]`."""
        rest = list(overrides)
        while rest:
            flag = rest.pop(0)
            if not flag.startswith("--"):
                raise UsageError(f"unexpected argument {flag!r}: overrides are written --section.key value")
            name, equals, text = flag[2:].partition("=")
            if not equals:
                if not rest or re.match(r"--[a-z]", rest[0]):
                    raise UsageError(f"--{name} needs a value")
                text = rest.pop(0)
            section, *keys = name.split(".")
            if section not in SECTIONS or not keys:
                options = [f"{s}." for s in SECTIONS]
                raise UsageError(f"unknown argument --{name}: {nearest(section + '.', options)}")
            target = self.values.setdefault(section, {})
            for key in keys[:-1]:
                target = target.setdefault(key, {})
                if not isinstance(target, dict):
                    raise UsageError(f"--{name}: {key!r} holds a value, not a mapping")
            try:
                target[keys[-1]] = parse_yaml(text, f"--{name}: {shortened(text)}", RecipeLoader)
            except ValueError as error:
                raise UsageError(str(error)) from error
        if overrides:
            try:
                check_plain(self.values, "the recipe with the overrides", finite=False)
            except ValueError as error:
                raise UsageError(str(error)) from error
            self._check_no_token(self.values, "")

    def _check_no_token(self, value, where):
        """What a recipe holds is written into cards and published."""
        if isinstance(value, (dict, list)):
            for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
                self._check_no_token(entry, f"{where}.{key}" if where else str(key))
        elif isinstance(value, str) and has_token(value):
            raise UsageError(
                f"{self.origin}: {where} holds an access token, and recipes are published: take it out, and give it in the "
                "environment variable HF_TOKEN or by `hf auth login`"
            )

    def __getattr__(self, name):
        if name in _DATACLASSES:
            return self._section(name, _DATACLASSES[name])
        if name in SECTIONS:
            return copy.deepcopy(self.values.get(name, {}))
        raise AttributeError(name)

    def _section(self, name, cls):
        values = self.values.get(name, {})
        self._check_keys(name, values, [f.name for f in fields(cls)])
        missing = [
            f.name
            for f in fields(cls)
            if f.default is MISSING and f.default_factory is MISSING and f.name not in values
        ]
        if missing:
            raise UsageError(f"{self.origin}: {name}.{missing[0]} is missing")
        for f in fields(cls):
            if f.name in values:
                self._check_type(name, f.name, values[f.name], f.type)
        return cls(**copy.deepcopy(values))

    def _check_type(self, section, key, value, kind):
        if not fits(value, kind):
            raise UsageError(
                f"{self.origin}: {section}.{key} is {shortened(value)}; it must be of type {type_name(kind)}"
            )

    def _check_keys(self, section, values, valid):
        for key in values:
            if key not in valid:
                raise UsageError(f"{self.origin}: unknown key {section}.{key}: {nearest(key, valid)}")

    def check(self):
        """Check every section that is there, so that a mistake in a later one shows before hours of work, not after.

        Imports transformers, whose training arguments are the keys of `train`.
        """
        for name in self.values:
            # Where there is a mixture, its parts complete the section collect.
            if name in _DATACLASSES and not (name == "collect" and "mixture" in self.values):
                getattr(self, name)
        if "mixture" in self.values:
            for _, _, part in self.parts():
                part.check()
        if "model" in self.values:
            self.model_classes()
        if "train" in self.values:
            self.training_arguments_class()
        if "environment" in self.values and "evaluate" in self.values:
            self._check_sets()
        if "evaluate" in self.values:
            self._check_evaluation()

    def _check_evaluation(self):
        """Refuse values of the section evaluate that no evaluation can have."""
        section = self.evaluate
        try:
            for key in ("episodes", "seeds", "last_episodes", "tasks_per_set"):
                checked_int(getattr(section, key), f"evaluate.{key}", 1)
            if section.max_rows is not None:
                checked_int(section.max_rows, "evaluate.max_rows", 1)
            if section.temperature is not None:
                checked_number(section.temperature, "evaluate.temperature", 0.0, math.inf)
            checked_choice(section.evaluation_set, "evaluate.evaluation_set", _OWN_SETS)
        except ValueError as error:
            raise UsageError(f"{self.origin}: {error}") from error

    def _check_sets(self):
        """Refuse names of evaluation sets that the environment does not have."""
        from hf_icrl.tasks import task_family

        names = [name for name in self.evaluate.sets if name not in _OWN_SETS]
        family = task_family(self.environment.family, **self.environment.kwargs) if names else None
        for name in names:
            try:
                family.check_evaluation_set(str(name))
            except ValueError as error:
                raise UsageError(f"{self.origin}: evaluate.sets: {error}") from error

    def parts(self):
        """What histories are collected: `[(name, weight, recipe of the sections environment and collect), ...]`.

        A recipe without a mixture is its own single part, without a name.
        """
        if "mixture" not in self.values:
            return [("", 1.0, self)]
        parts = []
        for number, part in enumerate(self.mixture.parts):
            where = f"{self.origin}: mixture.parts[{number}]"
            if not isinstance(part, dict) or not isinstance(part.get("name"), str):
                raise UsageError(f"{where} is {shortened(part)}; a part is a mapping with at least a name")
            for key in part:
                if key not in _PART_KEYS:
                    raise UsageError(f"{where}: unknown key {key!r}: {nearest(key, _PART_KEYS)}")
            base = self._base_of(part, where)
            values = {
                name: merged(base.values.get(name, {}), part.get(name, {}), f"{where}.{name}")
                for name in ("environment", "collect")
            }
            parts.append((part["name"], part.get("weight", 1.0), Recipe(values, f"{where} ({part['name']})")))
        return parts

    def _base_of(self, part, where):
        """The recipe whose sections the part shares."""
        if "recipe" not in part:
            return self
        name = part["recipe"]
        if name is None:
            return Recipe({}, where)
        base = name if isinstance(name, Recipe) else self._named(name, where)
        if "mixture" in base.values:
            raise UsageError(f"{where}: the recipe {base.origin} is a mixture itself; list its parts here instead")
        return base

    def _named(self, name, where):
        """A shipped recipe, or one in the folder of this one: a file must not make us read others elsewhere."""
        if not isinstance(name, str):
            raise UsageError(f"{where}: recipe is {shortened(name)}; it must be the name of a recipe, or null")
        if not name.endswith((".yaml", ".yml")):
            return Recipe.load(name)
        if self.folder is None:
            raise UsageError(f"{where}: the recipe file {name!r} is named, but only shipped recipes can be named here")
        try:
            return Recipe.load(inside(self.folder, name, where))
        except ValueError as error:
            raise UsageError(str(error)) from error

    def model_classes(self):
        """(config class, model class) of `model.method`, after checking the section's keys."""
        import hf_icrl

        method = self.values.get("model", {}).get("method")
        if method not in METHODS:
            raise UsageError(f"{self.origin}: model.method is {method!r}: {nearest(method, METHODS)}")
        config_class, model_class = (getattr(hf_icrl, name) for name in METHODS[method])
        valid = [f.name for f in fields(config_class) if not f.name.startswith("_")]
        self._check_keys("model", self.values["model"], ["method", *valid])
        return config_class, model_class

    def training_arguments_class(self):
        """`ICRLConfig`, after checking the section `train` against its fields."""
        from hf_icrl import ICRLConfig

        section = self.values.get("train", {})
        for key, instead in _TRAIN_RESERVED.items():
            if key in section:
                raise UsageError(f"{self.origin}: train.{key} cannot be set in a recipe; use {instead}")
        kinds = get_type_hints(ICRLConfig)
        valid = [f.name for f in fields(ICRLConfig) if f.init and f.name not in _TRAIN_RESERVED]
        self._check_keys("train", section, valid)
        for key, value in section.items():
            self._check_type("train", key, value, kinds[key])
        return ICRLConfig

    def to_dict(self):
        """All sections as plain values, defaults of the dataclass sections filled in.

        The parts of a mixture are written out, so that nothing depends on another file; the section `collect`, which
        they shared, is then not needed.
        """
        values = {
            name: asdict(getattr(self, name)) if name in _DATACLASSES else copy.deepcopy(self.values[name])
            for name in SECTIONS
            if name in self.values and not (name == "collect" and "mixture" in self.values)
        }
        if "mixture" in values:
            values["mixture"]["parts"] = [
                {"name": name, "weight": weight, "recipe": None, **part.to_dict()}
                for name, weight, part in self.parts()
            ]
        return values

    def to_yaml(self):
        """The recipe as YAML text that `load` reads back to the same values."""
        return yaml.dump(self.to_dict(), Dumper=RecipeDumper, sort_keys=False)

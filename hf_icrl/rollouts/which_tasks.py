"""Which environment and which tasks an evaluation is about, when the caller leaves it to the model's recipe."""

from pathlib import Path

import yaml

from hf_icrl.tasks import task_family, validation_split

RECIPE_FILE = "recipe.yaml"
_SETS = ("held_out", "validation", "train")


def resolve(family, tasks, evaluation_set, config):
    """`(family, tasks)` from what was given and, for the rest, from the recipe beside the model.

    Args:
        family (task family, `str` or `None`), tasks (list of dicts or `None`): None = ask the recipe.
        evaluation_set (`str`): which side of the split, if `tasks` is None.
        config: the model's config, which knows where the model was loaded from.

    Raises:
        ValueError: there is neither a family nor a recipe, or the split has no such tasks.
    """
    section = _environment_section(config) if family is None or tasks is None else None
    if family is None:
        if section is None:
            name = getattr(config, "_name_or_path", None) or "never saved"
            raise ValueError(
                f"the model ({name}) has no {RECIPE_FILE} beside it that says where it acts: pass the task family, "
                'for example evaluate(model, "dark_room")'
            )
        family = _family_of(section)
    elif isinstance(family, str):
        ours = section is not None and section.get("family") == family
        family = _family_of(section) if ours else task_family(family)
    if tasks is None:
        tasks = _tasks_of(family, section, evaluation_set)
    if not tasks:
        raise ValueError(f"there are no {evaluation_set} tasks to evaluate on: pass tasks=[...]")
    return family, list(tasks)


def _family_of(section):
    return task_family(section["family"], **(section.get("kwargs") or {}))


def _tasks_of(family, section, evaluation_set):
    if evaluation_set not in _SETS:
        raise ValueError(
            f"evaluation_set is {evaluation_set!r} and no tasks were given; it must be one of {', '.join(_SETS)}"
        )
    if section is not None:
        trained = _family_of(section)
        if (trained.env_id, trained.env_kwargs) != (family.env_id, family.env_kwargs):
            section = None
    # Without a recipe for this family, the split that every part of the library defaults to.
    section = section or {}
    split_seed = section.get("split_seed", 0)
    train, held_out = family.split(seed=split_seed, held_out=section.get("held_out", 0.2))
    train, validation = validation_split(train, section.get("validation", 0), seed=split_seed)
    return {"held_out": held_out, "validation": validation, "train": train}[evaluation_set]


def _environment_section(config):
    path = _recipe_path(config)
    if path is None:
        return None
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        section = recipe["environment"]
        if not isinstance(section["family"], str):
            raise TypeError
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} has no section environment with a family in it, so it is no recipe; pass family= and tasks="
        ) from error
    return section


def _recipe_path(config):
    name = getattr(config, "_name_or_path", None)
    if not name:
        return None
    if Path(name).is_dir():
        path = Path(name) / RECIPE_FILE
        return path if path.is_file() else None
    return _recipe_from_hub(name)


def _recipe_from_hub(name):
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json")
        # A model that came from the Hub has its config in the cache. Any other name is that of a folder which is
        # gone, and asking the Hub for it could find somebody else's repository.
        if not isinstance(config, str):
            return None
        return Path(hf_hub_download(name, RECIPE_FILE, revision=Path(config).parent.name))
    except (EntryNotFoundError, HFValidationError):  # the former also when the Hub cannot be asked
        return None

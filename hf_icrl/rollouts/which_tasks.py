"""Which environment and which tasks an evaluation is about, when the caller leaves it to the model's recipe."""

from pathlib import Path

import yaml

from hf_icrl.tasks import task_family, validation_split

RECIPE_FILE = "recipe.yaml"
_SETS = ("held_out", "validation", "train")


def resolve(family, tasks, evaluation_set, model_folder):
    """`(family, tasks)` from what was given and, for the rest, from the recipe beside the model.

    Args:
        family (task family, `str` or `None`), tasks (list of dicts or `None`): None = ask the recipe.
        evaluation_set (`str`): which side of the split, if `tasks` is None.
        model_folder (`str` or `None`): the folder or Hub id that the model was loaded from.

    Raises:
        ValueError: there is neither a family nor a recipe, or the split has no such tasks.
    """
    section = _environment_section(model_folder) if family is None or tasks is None else None
    if family is None:
        if section is None:
            raise ValueError(
                f"the model ({model_folder or 'never saved'}) has no {RECIPE_FILE} beside it that says where it acts: "
                'pass the task family, for example evaluate(model, "dark_room")'
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


def _environment_section(model_folder):
    path = _recipe_path(model_folder)
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


def _recipe_path(model_folder):
    if model_folder is None:
        return None
    folder = Path(model_folder)
    if folder.is_dir():
        path = folder / RECIPE_FILE
        return path if path.is_file() else None
    # A Hub id: the recipe is already in the cache if the model came with it, else it is fetched now.
    from transformers.utils import cached_file

    path = cached_file(str(model_folder), RECIPE_FILE, _raise_exceptions_for_missing_entries=False)
    return None if path is None else Path(path)

"""Which environment and which tasks an evaluation is about, and whether "held-out" may be said of them.

What a model was made with stands beside its weights: in `history_info.json`, the record of its training data, or else
in its `recipe.yaml`. Only one of them can say which tasks are held out, so without them nothing is called so unless
the caller names the tasks.
"""

from dataclasses import dataclass
from pathlib import Path

from hf_icrl.model_folder import RECIPE_FILE, cached_revision, recipe_of, record_of
from hf_icrl.shapes import Maybe, check_shape
from hf_icrl.tasks import family_of_section, task_family, task_key
from hf_icrl.untrusted import parse_yaml

_SETS = ("held_out", "validation", "train")


@dataclass(frozen=True)
class _Origin:
    """Where a model was made to act; `tasks` maps "train", "validation" and "held_out" to lists of task dicts.

    Imported data have no family, and nobody knows their environment's arguments.
    """

    family: str | None
    env_id: str
    env_kwargs: dict
    tasks: dict
    where: str

    def is_of(self, family):
        return self.env_id == family.env_id and (self.family is None or self.env_kwargs == family.env_kwargs)


def resolve(family, tasks, evaluation_set, config):
    """`(family, tasks)` from what was given and, for the rest, from what lies beside the model.

    Args:
        family (task family, `str` or `None`), tasks (list of dicts or `None`): None = ask the model's folder.
        evaluation_set (`str`): which side of the split, if `tasks` is None.
        config: the model's config, which knows where the model was loaded from.

    Raises:
        ValueError: nothing says where the model acts or which tasks these are; there are none; or they are to be
            called held-out, but the model was trained, or chosen, on one of them.
    """
    name = getattr(config, "_name_or_path", None) or None
    # Given everything and claiming nothing, there is nothing to ask.
    ask = family is None or isinstance(family, str) or tasks is None or evaluation_set == "held_out"
    origins = _origins(name) if ask else []
    if family is None:
        if not origins:
            raise ValueError(
                f"the model ({name or 'never saved'}) has no {RECIPE_FILE} beside it that says where it acts: pass the "
                'task family and tasks, for example evaluate(model, "dark_room", tasks)'
            )
        if origins[0].family is None:
            raise ValueError(
                f"the model was trained on imported data of {origins[0].env_id}, says {origins[0].where}, which belong to "
                'no task family: pass one and tasks, for example evaluate(model, "dark_room", tasks)'
            )
        # Of a mixture, what its recipe evaluates on, or the first part.
        family = task_family(origins[0].family, **origins[0].env_kwargs)
    elif isinstance(family, str):
        ours = [origin for origin in origins if family in (origin.family, origin.env_id)]
        family = task_family(family, **(ours[0].env_kwargs if ours else {}))
    if tasks is None:
        tasks = _tasks_of(family, origins, evaluation_set, name)
    if not tasks:
        raise ValueError(f"there are no {evaluation_set} tasks to evaluate on: pass tasks=[...]")
    if evaluation_set == "held_out":
        for origin in origins:
            if origin.is_of(family):
                _check_held_out(tasks, origin, _seen(origin), "Say evaluation_set={side!r}, or choose other tasks")
    return family, list(tasks)


def check_sets_held_out(sets, config):
    """Raise `ValueError` if a set holds tasks that the model was trained on, as far as the files beside it say.

    Args:
        sets (`dict[str, (TaskFamily, list[dict])]`): those whose names end with "train" may hold such tasks; others, by
            a name that ends with "validation", those that the model was chosen on.
        config: the model's config.
    """
    claimed = {name: (family, tasks) for name, (family, tasks) in sets.items() if _kind(name) != "train"}
    for origin in _origins(getattr(config, "_name_or_path", None) or None) if claimed else []:
        ours = {name: tasks for name, (family, tasks) in claimed.items() if origin.is_of(family)}
        seen = _seen(origin) if ours else {}
        for name, tasks in ours.items():
            sides = ("train",) if _kind(name) == "validation" else ("validation", "train")
            own = {task: side for task, side in seen.items() if side in sides}
            advice = f"Let the name of the set {name!r} end with {{side!r}}, or choose other tasks"
            _check_held_out(tasks, origin, own, advice)


def _kind(name):
    return name.rpartition("_")[2]


def _tasks_of(family, origins, evaluation_set, name):
    if evaluation_set not in _SETS:
        raise ValueError(
            f"evaluation_set is {evaluation_set!r} and no tasks were given; it must be one of {', '.join(_SETS)}"
        )
    if not origins:
        raise ValueError(
            f"nothing beside the model ({name or 'never saved'}) says which tasks it was trained on, so nobody knows "
            f"which are its {evaluation_set} tasks: pass tasks=[...], for example tasks=family.split(seed=...)[1] with "
            "the split that it was trained with"
        )
    for origin in origins:
        if origin.is_of(family):
            return origin.tasks[evaluation_set]
    if evaluation_set != "held_out":
        origin = origins[0]
        raise ValueError(
            f"the model was trained in {origin.env_id} {origin.env_kwargs}, says {origin.where}, so {family!r} has no "
            f"{evaluation_set} tasks of its: pass tasks=[...]"
        )
    for origin in origins:
        if origin.family is None:
            raise ValueError(
                f"{origin.where} says that the model was trained on imported data, and not in which environments, so "
                "nobody knows which tasks are held out: pass tasks=[...]"
            )
    # Nothing of this environment was trained on: the tasks that the library holds out by default stand for it.
    return family.split()[1]


def _seen(origin):
    """Keys of the tasks that the model was trained or chosen on -> which of the two."""
    return {task_key(task): side for side in ("validation", "train") for task in origin.tasks[side]}


def _check_held_out(tasks, origin, seen, advice):
    for task in tasks:
        side = seen.get(task_key(task))
        if side is not None:
            what = "trained on it" if side == "train" else "chosen on it"
            raise ValueError(
                f"the task {task} is not held out: the model may have been {what}, since {origin.where} lists it among "
                f"the {side} tasks. {advice.format(side=side)}"
            )


def _origins(name):
    """Where the model called `name` was made to act: nothing where nobody says, several of a mixture."""
    # Any other name is that of a folder which is gone, and asking the Hub for it could find somebody else's model.
    if name is None or not (Path(name).is_dir() or cached_revision(name)):
        return []
    record = record_of(name)
    if record is None:
        text, where = recipe_of(name)
        return [] if text is None else _origins_of_recipe(text, where)
    origins = [_origin_of_record(part, f"{name}/history_info.json") for part in record.get("mixture", [record])]
    text, where = recipe_of(name) if len(origins) > 1 else (None, None)
    if text is not None:
        main = _origins_of_recipe(text, where)[0]
        origins.sort(key=lambda origin: (origin.env_id, origin.env_kwargs) != (main.env_id, main.env_kwargs))
    return origins


def _origin_of_record(record, where):
    for name in ("tasks", "family", "env_id", "env_kwargs"):
        if name not in record:
            raise ValueError(
                f"{where} has no entry {name!r}, so it does not say what the model was trained on; restore it"
            )
    tasks = {side: record["tasks"].get(side, []) for side in _SETS}
    if record.get("collected_on") == "held_out":  # then these are what the model was trained on
        tasks["train"], tasks["held_out"] = tasks["held_out"], tasks["train"]
    return _Origin(record["family"], record["env_id"], record["env_kwargs"], tasks, where)


def _origins_of_recipe(text, where):
    """The section environment, which says where to evaluate, and those of the parts of a mixture."""
    recipe = parse_yaml(text, where)
    environment = {"family": str, "kwargs": Maybe((dict, None)), "population": Maybe((dict, None))}
    mixture = {"parts": Maybe([{"environment": environment}])}
    try:
        check_shape(recipe, {"environment": environment, "mixture": Maybe((mixture, None))}, "the recipe")
    except ValueError as error:
        raise ValueError(
            f"{where} has no section environment with a family in it, so it is no recipe; restore or remove it ({error})"
        ) from error
    parts = (recipe.get("mixture") or {}).get("parts", ())
    sections = [recipe["environment"], *(part["environment"] for part in parts)]
    return [_origin_of_section(section, where) for section in sections]


def _origin_of_section(section, where):
    family, tasks = family_of_section(section)
    return _Origin(family.name, family.env_id, family.env_kwargs, tasks, where)

"""Refuse, by name, to go on with other arguments than a folder was made with."""

from pathlib import Path

from hf_icrl.cli.common import family_of
from hf_icrl.histories.spaces import space_to_spec, spec_text
from hf_icrl.naming import differences, shortened
from hf_icrl.splits import task_key

# What changes no bit of the data or the weights may change from one run to the next.
_FREE = {
    "collect.num_proc",
    "train.logging_steps",
    "train.save_steps",
    "train.save_total_limit",
    "train.eval_episodes",
    "train.eval_seeds",
    "train.eval_last_episodes",
}


def check_same_recipe(old, new, sections, where):
    """Raise `ValueError` naming the first value in which two recipes (plain dicts) differ and that decides bits."""
    for section in sections:
        before, now = (_by_name(recipe.get(section, {})) for recipe in (old, new))
        for key, a, b in differences(before, now, f"{section}."):
            if key not in _FREE and not key.endswith(".collect.num_proc"):
                raise ValueError(
                    f"{where} was made with {key} = {a!r}, now it is {b!r}; use the same value to go on, or another "
                    "--output_dir to start afresh"
                )


def _by_name(section):
    """The parts of the section mixture by their names, so that a difference in one of them is named."""
    parts = {f"parts.{part['name']}": part for part in section.get("parts", ())}
    return {key: value for key, value in section.items() if key != "parts"} | parts


def check_same_histories(recipe, parts, dataset_dir):
    """The histories must be those that the recipe describes.

    Otherwise held-out tasks could leak into training, and the recipe that is saved with the model would not say what
    the model was trained on.

    Args:
        recipe (`Recipe`): the recipe.
        parts (list of `HistoryPart`): the histories, and their `history_info.json`.
        dataset_dir (`Path`): where they are.

    Raises:
        ValueError: naming the first difference, with both values.
    """
    if parts[0].info["family"] is None:
        _check_fits_imported(recipe, parts[0].info, dataset_dir)
        return
    expected = recipe.parts()
    said, found = ([(name, weight) for name, weight, _ in expected], [(part.name, part.weight) for part in parts])
    if said != found:
        raise ValueError(
            f"{dataset_dir} is a mixture of (part, weight) {found}, the recipe {recipe.origin} says {said} ('' is a "
            "recipe or a collection without a mixture); collect again with this recipe, or train with the recipe of "
            "the histories"
        )
    for (_, _, own), part in zip(expected, parts, strict=True):
        _check_same_collection(own, part.info, Path(dataset_dir) / part.name)
    if "mixture" in recipe.values:
        _check_held_out_of_all_parts(recipe, parts)


def _check_fits_imported(recipe, info, dataset_dir):
    """Imported data were collected by no recipe; where one says in which environment the model acts, it must fit."""
    for section in ("collect", "mixture"):
        if section in recipe.values:
            raise ValueError(
                f"{dataset_dir} was imported, and the section {section} of the recipe {recipe.origin} describes other "
                "histories: leave the sections collect and mixture out"
            )
    if "environment" not in recipe.values:
        return
    family, tasks = family_of(recipe)
    for name, space in zip(("observation_space", "action_space"), family.spaces(tasks["train"][0]), strict=True):
        spec = space_to_spec(space)
        if spec != info[name]:
            raise ValueError(
                f"{dataset_dir} has the {name} {spec_text(info[name])}, but {family.env_id} of the recipe "
                f"{recipe.origin} has {spec_text(spec)}: give the environment arguments that make them equal, import "
                "with that space, or leave the section environment out"
            )
    held_out = {task_key(task) for side in ("held_out", "validation") for task in tasks[side]}
    for task in info["tasks"]["train"]:
        if info["env_id"] == family.env_id and task_key(task) in held_out:
            raise ValueError(
                f"{dataset_dir} has histories on the task {task}, which the recipe {recipe.origin} holds out or sets "
                "aside: change its split, or leave that task out of the import"
            )


def _check_held_out_of_all_parts(recipe, parts):
    """What the recipe's own environment holds out, no part may train on."""
    family, tasks = family_of(recipe)
    held_out = {task_key(task) for side in ("held_out", "validation") for task in tasks[side]}
    for part in parts:
        if (part.info["env_id"], part.info["env_kwargs"]) != (family.env_id, family.env_kwargs):
            continue
        for task in part.info["tasks"]["train"]:
            if task_key(task) in held_out:
                raise ValueError(
                    f"the part {part.name!r} trains on the task {task}, which the recipe's section environment holds "
                    "out or sets aside: give both the same split_seed, held_out, validation and population"
                )


def _check_same_collection(recipe, info, dataset_dir):
    from hf_icrl.sources import make_source

    section = recipe.collect
    source = make_source(section.source, **section.params)
    family, tasks = family_of(recipe)
    expected = {
        "family": family.name,
        "env_id": family.env_id,
        "environment.kwargs": family.env_kwargs,
        **{f"{name} tasks": tasks[name] for name in ("train", "validation", "held_out")},
        "collect": {
            "source": source.name,
            "params": source.params,
            "seed": section.seed,
            "histories_per_task": section.histories_per_task,
            **{name: getattr(section, name) for name in ("episodes", "subsample", "skip", "keep")},
        },
    }
    found = {
        "family": info["family"],
        "env_id": info["env_id"],
        "environment.kwargs": info["env_kwargs"],
        **{f"{name} tasks": info["tasks"][name] for name in ("train", "validation", "held_out")},
        "collect": {
            "source": info["source"]["name"],
            "params": info["source"]["params"],
            **{name: info[name] for name in ("seed", "histories_per_task")},
            **info["run"],
        },
    }
    for name, there, here in differences(found, expected):
        instead = f" (or add --{name} {there})" if name.startswith("collect.") else ""
        raise ValueError(
            f"{dataset_dir} was collected with {name} = {shortened(there)}, the recipe {recipe.origin} says "
            f"{shortened(here)}; collect again with this recipe, or train with the recipe of the histories{instead}"
        )

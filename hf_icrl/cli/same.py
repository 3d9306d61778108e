"""Refuse, by name, to go on with other arguments than a folder was made with."""

from hf_icrl.naming import differences

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
        for key, a, b in differences(old.get(section, {}), new.get(section, {}), f"{section}."):
            if key not in _FREE:
                raise ValueError(
                    f"{where} was made with {key} = {a!r}, now it is {b!r}; use the same value to go on, or another "
                    "--output_dir to start afresh"
                )


def check_same_histories(recipe, family, tasks, dataset_dir, info):
    """The histories must be those that the recipe describes.

    Otherwise held-out tasks could leak into training, and the recipe that is saved with the model would not say what
    the model was trained on.

    Args:
        recipe (`Recipe`), family (task family), tasks (`dict`): the recipe, and its `family_of`.
        dataset_dir (`Path`), info (`dict`): where the histories are, and their `history_info.json`.

    Raises:
        ValueError: naming the first difference, with both values.
    """
    from hf_icrl.sources import make_source

    section = recipe.collect
    source = make_source(section.source, **section.params)
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
            f"{dataset_dir} was collected with {name} = {_short(there)}, the recipe {recipe.origin} says "
            f"{_short(here)}; collect again with this recipe, or train with the recipe of the histories{instead}"
        )


def _short(value):
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:140]}... ({len(value)} entries)"

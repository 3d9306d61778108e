"""What the source of a recipe's histories reaches on the tasks that a model is evaluated on."""

import json
from functools import lru_cache

from hf_icrl.cli.common import say

# Runs of a source on a bandit differ more from each other than a rollout costs; a learner on words is slower, and the
# end of its history says what it has come to.
_BANDIT_REPEATS = 5
# Environment steps from which on it is said beforehand that the source runs, too.
_LONG = 1_000_000


def source_references(recipe, sets):
    """The references of sets of tasks in families that have published evaluation sets: bandits and word DarkRooms.

    The source and its parameters are those of the recipe's section `collect`, or of a mixture all of whose parts have the
    same. On a bandit it makes as many episodes as the model, so that their regrets can be compared; elsewhere whole
    histories, as long as those that were collected.

    Args:
        recipe (`Recipe`): its sections collect or mixture, and evaluate.
        sets (`dict[str, (TaskFamily, list[dict])]`): what is evaluated.

    Returns:
        `dict[str, SourceReference]`: set name -> reference; none for other families, or where the recipe names no
        source. A reference that this process has made before is not made again.
    """
    from hf_icrl.envs.bandit_tasks import BanditFamily

    section = _common_source(recipe)
    if section is None:
        return {}
    runs = {}
    for name, (family, tasks) in sets.items():
        if family.evaluation_sets:
            is_bandit = isinstance(family, BanditFamily)
            runs[name] = {
                "source": section.source,
                "params": json.dumps(section.params, sort_keys=True),
                "family": family.name,
                "env_kwargs": json.dumps(family.env_kwargs),
                "tasks": json.dumps(tasks),
                "episodes": recipe.evaluate.episodes if is_bandit else section.episodes,
                "seed": recipe.evaluate.seed,
                "repeats": _BANDIT_REPEATS if is_bandit else 1,
            }
    steps = sum(
        len(sets[name][1]) * sets[name][0].horizon * run["episodes"] * run["repeats"] for name, run in runs.items()
    )
    if steps >= _LONG:
        say(f"the source, {section.source}, learns on these tasks for comparison: at most {steps:,} environment steps")
    return {name: _reference(**run) for name, run in runs.items()}


def _common_source(recipe):
    """The section `collect` that says what source made the histories, or `None` if nothing does, or several do."""
    if "mixture" not in recipe.values and "collect" not in recipe.values:
        return None
    sections = [part.collect for _, _, part in recipe.parts()]
    first = sections[0]
    same = all((s.source, s.params, s.episodes) == (first.source, first.params, first.episodes) for s in sections[1:])
    return first if same else None


@lru_cache(maxsize=64)
def _reference(source, params, family, env_kwargs, tasks, episodes, seed, repeats):
    from hf_icrl.sources import make_source
    from hf_icrl.sources.reference import source_reference
    from hf_icrl.tasks import task_family

    return source_reference(
        make_source(source, **json.loads(params)),
        task_family(family, **json.loads(env_kwargs)),
        json.loads(tasks),
        episodes=episodes,
        seed=seed,
        repeats=repeats,
    )

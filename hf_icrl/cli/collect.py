"""Generate learning histories: the recipe's source algorithm on the train tasks of its environment.

  hf-icrl collect --config quickstart --output_dir runs/quickstart
  hf-icrl collect --config my_recipe.yaml --collect.episodes 40 --collect.num_proc 4

Writes DIR/dataset, which `datasets.load_from_disk` opens. Interrupted, it goes on at the first missing shard.
"""

from hf_icrl.cli.common import add_recipe_arguments, load_recipe, say

TAKES_OVERRIDES = True
RESUMES = True
USAGE = "--config RECIPE [--output_dir DIR] [--section.key VALUE ...]"


def add_arguments(parser):
    add_recipe_arguments(parser)


def run(args):
    recipe, folder = load_recipe(args)
    collect_histories(recipe, folder.dataset, args.command)


def collect_histories(recipe, output_dir, command):
    """Collect what the recipe says into `output_dir`, with its card; returns the `Collection`."""
    from hf_icrl import collect
    from hf_icrl.model_cards import write_dataset_card

    environment, section = recipe.environment, recipe.collect
    collection = collect(
        environment.family,
        section.source,
        env_kwargs=environment.kwargs,
        source_params=section.params,
        output_dir=output_dir,
        histories_per_task=section.histories_per_task,
        episodes=section.episodes,
        seed=section.seed,
        split_seed=environment.split_seed,
        held_out=environment.held_out,
        validation=environment.validation,
        population=environment.population,
        columns=section.columns,
        subsample=section.subsample,
        skip=section.skip,
        keep=section.keep,
        num_proc=section.num_proc,
        command=command,
        progress=True,
    )
    if not (output_dir / "README.md").exists():
        write_dataset_card(output_dir, collection.info)
    say(collection)
    return collection

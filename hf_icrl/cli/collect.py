"""Generate learning histories: the recipe's source algorithm on the train tasks of its environment.

  hf-icrl collect --config quickstart --output_dir runs/quickstart
  hf-icrl collect --config my_recipe.yaml --collect.episodes 40 --collect.num_proc 4
  hf-icrl collect --config one.yaml two.yaml --weights 2 1 --output_dir runs/both

Writes DIR/dataset, which `datasets.load_from_disk` opens. Interrupted, it goes on at the first missing shard.
Several recipes make a mixture: a part of the dataset for each of them (see the section mixture of a recipe).
"""

from hf_icrl.cli.common import add_recipe_arguments, load_recipe, say
from hf_icrl.cli.source_replay import write_source_replay

TAKES_OVERRIDES = True
RESUMES = True
USAGE = (
    "--config RECIPE [RECIPE ...] [--weights W ...] [--output_dir DIR] [--push_to_hub ID] [--section.key VALUE ...]"
)


def add_arguments(parser):
    add_recipe_arguments(parser, several=True)
    parser.add_argument("--push_to_hub", metavar="ID", help="then publish them on the Hub, as hf-icrl push does")


def run(args):
    recipe, folder = load_recipe(args)
    collect_histories(recipe, folder.dataset, args.command)
    if args.push_to_hub:
        from hf_icrl.cli.push import push_and_say

        push_and_say(folder.dataset, args.push_to_hub)


def collect_histories(recipe, output_dir, command):
    """Collect what the recipe says into `output_dir`, with picture, replay and card; returns a list of `Collection`, one a part."""
    from hf_icrl import collect, collect_mixture
    from hf_icrl.histories import read_info
    from hf_icrl.model_cards import write_dataset_card

    if "mixture" not in recipe.values:
        num_proc = recipe.collect.num_proc
        made = [collect(**collect_arguments(recipe), output_dir=output_dir, num_proc=num_proc, command=command)]
    else:
        parts = [{"name": name, "weight": weight, **collect_arguments(part)} for name, weight, part in recipe.parts()]
        num_proc = max(part.collect.num_proc for _, _, part in recipe.parts())
        made = collect_mixture(
            parts, output_dir, reconcile=recipe.mixture.reconcile, num_proc=num_proc, command=command
        )
    for collection in made:
        collection.save_picture()
        write_source_replay(collection)
        if not (collection.path / "README.md").exists():
            write_dataset_card(collection.path, collection.info)
        say(collection)
    if not (output_dir / "README.md").exists():
        write_dataset_card(output_dir, read_info(output_dir))
    return made


def collect_arguments(recipe):
    """The arguments of `hf_icrl.collect` that say which histories."""
    environment, section = recipe.environment, recipe.collect
    return {
        "family": environment.family,
        "source": section.source,
        "env_kwargs": environment.kwargs,
        "source_params": section.params,
        **{name: getattr(environment, name) for name in ("split_seed", "held_out", "validation", "population")},
        **{name: getattr(section, name) for name in ("histories_per_task", "episodes", "seed", "columns")},
        **{name: getattr(section, name) for name in ("subsample", "skip", "keep")},
    }

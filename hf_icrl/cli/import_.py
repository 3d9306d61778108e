"""Make learning histories of data that were recorded elsewhere.

  hf-icrl import minari D4RL/door/human-v2 --output_dir runs/door/dataset --download
  hf-icrl import parquet my_logs/ --output_dir runs/logs/dataset --columns observations=x,y actions=a rewards=r \\
      next_observations=x2,y2 terminated=done history_id=run --action_space "{type: Discrete, n: 4}"

Minari: the episodes of each dataset, in order, are one history. Parquet: one row a transition (`rewards` is a number) or
one row an episode (`rewards` is a list), ordered by history and episode; names are those of `hf_icrl.dataset_builders.import_parquet`.
The folder appears when all is written; interrupted, the same command starts afresh.
"""

from hf_icrl.cli.errors import UsageError

USAGE = "minari|parquet SOURCE [SOURCE ...] --output_dir DIR [options]"

# Option -> the only format that has it.
_ONLY = {
    "episodes_per_history": "minari",
    "flatten": "minari",
    "download": "minari",
    "columns": "parquet",
    "observation_space": "parquet",
    "action_space": "parquet",
    "env_id": "parquet",
    "missing_final": "parquet",
}


def add_arguments(parser):
    parser.add_argument("format", choices=["minari", "parquet"], metavar="FORMAT", help="minari or parquet")
    parser.add_argument(
        "source",
        nargs="+",
        metavar="SOURCE",
        help="ids or folders of Minari datasets; parquet files or folders of them",
    )
    parser.add_argument("--output_dir", required=True, metavar="DIR", help="a new or empty folder for the histories")
    parser.add_argument(
        "--episodes_per_history", type=int, metavar="N", help="minari: cut a dataset into histories of N episodes"
    )
    parser.add_argument(
        "--flatten", action="store_true", default=None, help="minari: one vector of dict or tuple observations"
    )
    parser.add_argument(
        "--download", action="store_true", default=None, help="minari: fetch datasets that are not here"
    )
    parser.add_argument(
        "--columns", nargs="+", metavar="NAME=COLUMN[,COLUMN]", help="parquet: which of the file's columns is what"
    )
    for name in ("observation_space", "action_space"):
        parser.add_argument(
            f"--{name}",
            metavar="SPEC",
            help='parquet: such as "{type: Discrete, n: 4}" (default: inferred from the values)',
        )
    parser.add_argument("--env_id", metavar="ID", help="parquet: which environment it was (default: unknown)")
    parser.add_argument(
        "--missing_final",
        metavar="RULE",
        help="parquet: refuse, or repeat the last observation where none follows the last action (default: refuse)",
    )


def run(args):
    options = {name: getattr(args, name) for name in _ONLY if getattr(args, name) is not None}
    for name in options:
        if _ONLY[name] != args.format:
            raise UsageError(f"--{name} is an option of the format {_ONLY[name]}, not of {args.format}")
    if "columns" in options:
        options["columns"] = _columns(options["columns"])
    for name in ("observation_space", "action_space"):
        if name in options:
            options[name] = _space(name, options[name])
    _import(args.format, args.source, args.output_dir, options, args.command)


def _import(format, source, output_dir, options, command):
    from hf_icrl.cli.common import say
    from hf_icrl.dataset_builders import import_minari, import_parquet
    from hf_icrl.model_cards import write_dataset_card

    function = import_minari if format == "minari" else import_parquet
    collection = function(source, output_dir, command=command, progress=True, **options)
    collection.save_picture()
    # Whose data they are, and under which licence, we cannot know.
    write_dataset_card(collection.path, collection.info, license="unknown")
    say(collection)


def _columns(pairs):
    columns = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not text:
            raise UsageError(f"--columns {pair}: write NAME=COLUMN, as in observations=obs or observations=x,y")
        parts = text.split(",")
        columns[name] = parts[0] if len(parts) == 1 else parts
    return columns


def _space(name, text):
    from hf_icrl.untrusted import parse_yaml

    try:
        value = parse_yaml(text, f"--{name}: {text!r}")
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not isinstance(value, dict):
        raise UsageError(f'--{name}: {text!r} is no space; write "{{type: Discrete, n: 4}}"')
    return value

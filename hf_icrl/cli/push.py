"""Publish a model or learning histories on the Hub: one commit with everything that belongs to it, and the card.

  hf-icrl push runs/quickstart/model --repo_id someone/dark-room-ad
  hf-icrl push runs/quickstart/dataset --repo_id someone/dark-room-histories --private
  hf-icrl push runs/other/dataset --repo_id someone/histories --config_name other

A model takes along weights, config, code, recipe, report, plot and replay; learning histories become parquet files, which
`load_dataset` and the viewer of the Hub open. Pickles, checkpoints and logs stay here. Somebody else who pushes at the same
time gets an error, or you do: nothing is overwritten unseen. Interrupted, the same command goes on where it was. Log in
first with `hf auth login`, or set HF_TOKEN.
"""

import sys
from pathlib import Path

from hf_icrl.cli.common import say

USAGE = "PATH --repo_id ID [--private] [--revision BRANCH] [--tag TAG] [--config_name NAME] [--dataset_id ID]"


def add_arguments(parser):
    parser.add_argument("path", metavar="PATH", help="the folder of a model or of learning histories")
    parser.add_argument(
        "--repo_id", required=True, metavar="ID", help="user/name or organisation/name; made if need be"
    )
    parser.add_argument(
        "--private", action="store_true", default=None, help="a new repository is private; a public one is refused"
    )
    parser.add_argument("--revision", metavar="BRANCH", help="the branch, made if need be (default: main)")
    parser.add_argument("--tag", metavar="TAG", help="a name for the new commit, to load by")
    parser.add_argument("--message", metavar="TEXT", help="the title of the commit")
    parser.add_argument(
        "--config_name", metavar="NAME", help="of learning histories: put them beside others in one repository"
    )
    parser.add_argument("--dataset_id", metavar="ID", help="of a model: the Hub id of what it was trained on")


def run(args):
    options = {} if args.dataset_id is None else {"dataset_id": args.dataset_id}
    push_and_say(
        args.path,
        args.repo_id,
        config_name=args.config_name,
        revision=args.revision,
        private=args.private,
        tag=args.tag,
        commit_message=args.message,
        **options,
    )


def push_and_say(folder, repo_id, **options):
    """`hf_icrl.push`, with a word on what was left out and where it went."""
    from hf_icrl.pushing import push
    from hf_icrl.pushing.commits import publishable
    from hf_icrl.quiet import transfer_bars

    if not Path(folder).is_dir():
        raise ValueError(f"there is no folder {folder}")
    pickles = publishable(folder)[1]
    if pickles:
        say(f"not published, since reading a pickle may run code: {', '.join(pickles)}")
    with transfer_bars(sys.stderr.isatty()):
        commit = push(folder, repo_id, **options)
    say(f"pushed {folder} to {commit.repo_url} (commit {commit.oid[:8]})")

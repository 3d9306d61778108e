"""Entry point of `hf-icrl`. Nothing heavy is imported before a verb runs, so that `--help` answers at once."""

import argparse
import os
import shlex
import sys
import traceback
from importlib import import_module
from keyword import iskeyword

from hf_icrl import __version__
from hf_icrl.cli.errors import UsageError
from hf_icrl.redaction import secrets_in, without_tokens

VERBS = {
    "quickstart": "from nothing to an agent that improves in context: collect, train, evaluate, on a laptop CPU",
    "collect": "generate learning histories",
    "import": "make learning histories of Minari datasets or parquet files",
    "train": "train a sequence model on windows of learning histories",
    "evaluate": "roll a model out on held-out tasks and report how well it learns in context",
    "push": "publish a model or learning histories on the Hub, with the card",
    "describe": "say what a dataset or a checkpoint is",
    "env": "print versions, for a bug report",
}

_EPILOG = """\
A recipe is a YAML file with the sections environment, collect (or mixture), model, train and evaluate; `--config` takes
a file or the name of a recipe that is shipped (quickstart, ...). Any of its values can be given on the command line
instead: --train.learning_rate 1e-3, --collect.params.noise uniform.

Exit codes: 0 done, 1 failed (with one sentence; set HF_ICRL_TRACEBACK=1 for the traceback), 2 wrong usage,
130 interrupted."""


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors, which repeat what was typed, repeat no token."""

    hidden = ()

    def error(self, message):
        super().error(without_tokens(message, self.hidden))


def build_parser(hidden=()):
    """The argument parser with all verbs; its errors do not show the texts `hidden`."""
    parser = _Parser(
        prog="hf-icrl",
        usage="hf-icrl VERB [options]     (hf-icrl VERB --help says more)",
        # argparse's own listing of sub-commands breaks after each name; this table is easier to read.
        description="In-context reinforcement learning, the Hugging Face way.\n\nverbs:\n"
        + "\n".join(f"  {name:<11} {text}" for name, text in VERBS.items()),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.hidden = hidden
    parser.add_argument("--version", action="version", version=f"hf-icrl {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", help=argparse.SUPPRESS)
    for name in VERBS:
        module = import_module(f"hf_icrl.cli.{name}{'_' * iskeyword(name)}")
        sub = verbs.add_parser(
            name,
            prog=f"hf-icrl {name}",
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            usage=f"hf-icrl {name} {module.USAGE}",
            allow_abbrev=False,
        )
        sub.hidden = hidden
        module.add_arguments(sub)
        sub.set_defaults(
            run=module.run,
            parser=sub,
            takes_overrides=getattr(module, "TAKES_OVERRIDES", False),
            resumes=getattr(module, "RESUMES", False),
        )
    return parser


def main(argv=None):
    """Run one verb; returns the exit code."""
    argv = sys.argv[1:] if argv is None else list(argv)
    hidden = secrets_in(argv)
    parser = build_parser(hidden)
    args, rest = parser.parse_known_args(argv)
    if args.verb is None:
        parser.print_help()
        return 2
    if rest and not args.takes_overrides:
        args.parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.overrides = rest
    # What reports and cards print as the command that made them.
    args.command = without_tokens(shlex.join(["hf-icrl", *argv]), hidden)
    if os.environ.get("HF_ICRL_TRACEBACK"):
        try:
            return args.run(args) or 0
        except Exception:
            print(without_tokens(traceback.format_exc(), hidden), file=sys.stderr)
            return 1
    try:
        code = args.run(args) or 0
        sys.stdout.flush()
        return code
    except UsageError as error:
        args.parser.error(str(error))
    except KeyboardInterrupt:
        again = "; run the same command again and it goes on where it was" if args.resumes else ""
        print(f"\nhf-icrl: interrupted{again}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output has read enough, as `| head` does. Python must not try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        print(f"hf-icrl: {without_tokens(_sentence(error), hidden)}", file=sys.stderr)
        return 1


def _sentence(error):
    # OSError prints as "[Errno 28] text"; the text alone is the sentence.
    text = error.strerror if isinstance(error, OSError) and error.strerror and not error.filename else str(error)
    text = " ".join(text.split())
    if isinstance(error, (ValueError, TypeError, OSError)) or type(error).__module__.startswith("huggingface_hub"):
        return text or type(error).__name__
    # Nobody wrote this message for a person: it is a bug, ours or a library's.
    return f"{type(error).__name__}: {text} (set HF_ICRL_TRACEBACK=1 to see where, for a bug report)"

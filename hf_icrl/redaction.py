"""Keep access tokens out of what we print and write: commands in reports and cards, and the texts of errors.

Cheap to import.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

HIDDEN = "<hidden>"
_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "WANDB_API_KEY")
# Shorter ones are no tokens, and their replacement would spoil ordinary words.
_SHORTEST = 8
# The Hub's user, OAuth, JWT and organisation tokens. None of our names has so many letters and no underscore in it.
_TOKEN = re.compile(r"(?:hf_(?:oauth_|jwt_)?|api_org_)[A-Za-z0-9]{20,}[\w.\-]*")
_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")
_SECRET_OPTION = re.compile(r"--[\w.\-]*(token|password|passwd|secret|api_?key)", re.IGNORECASE)


def without_tokens(text, also=()):
    """`text` with the access tokens in it hidden.

    Args:
        text (`str`): a message, or a file of any format: what is put in for a token needs no escaping.
        also (iterable of `str`): further secrets, see `secrets_in`.

    Returns:
        `str`: without the tokens that this process was given (environment, `hf auth login`), without what looks like one
        of the Hub's, without the user information of URLs, and without `also`.
    """
    known = {secret for secret in _known() if len(secret) >= _SHORTEST} | set(also)
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _IN_URL.sub(HIDDEN, _TOKEN.sub(HIDDEN, text))


def has_token(text):
    """Whether `without_tokens` would change the text."""
    return without_tokens(text) != text


def secrets_in(argv):
    """The values of options such as `--token VALUE` and `--train.hub_token=VALUE` of a command line, a list."""
    found = []
    for place, argument in enumerate(argv):
        flag, equals, value = argument.partition("=")
        if not _SECRET_OPTION.fullmatch(flag):
            continue
        if equals:
            found.append(value)
        elif place + 1 < len(argv) and not argv[place + 1].startswith("--"):
            found.append(argv[place + 1])
    return [secret for secret in found if len(secret) >= 4]


def _known():
    """The tokens that this process was given."""
    found = {os.environ.get(name, "").strip() for name in _VARIABLES}
    home = Path(os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser())
    with suppress(OSError, ValueError):
        found.add(Path(os.environ.get("HF_TOKEN_PATH") or home / "token").read_text(encoding="utf-8").strip())
    return found

"""What several test modules share. On sys.path through `pythonpath` in pyproject.toml."""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def hf_icrl(*args, cwd=None, env=None):
    """Run the real command line, offline; returns the CompletedProcess with stdout and stderr as text.

    Not in the checkout unless told so: there Python would import the checkout instead of what is installed.
    """
    return subprocess.run(
        [sys.executable, "-m", "hf_icrl", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd or tempfile.gettempdir(),
        env={**os.environ, "HF_HUB_OFFLINE": "1", **(env or {})},
    )


def digest(folder):
    """File name -> sha256, of everything below `folder`."""
    files = sorted(p for p in Path(folder).rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

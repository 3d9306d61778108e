"""What several test modules share. On sys.path through `pythonpath` in pyproject.toml."""

import os
import subprocess
import sys


def hf_icrl(*args, cwd=None, env=None):
    """Run the real command line, offline; returns the CompletedProcess with stdout and stderr as text."""
    return subprocess.run(
        [sys.executable, "-m", "hf_icrl", *map(str, args)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **(env or {})},
    )

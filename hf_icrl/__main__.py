"""`python -m hf_icrl` is `hf-icrl`, also for `torchrun -m hf_icrl train ...`."""

import sys

from hf_icrl.cli.main import main

sys.exit(main())

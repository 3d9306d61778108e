"""Set before torch is imported: tiny models are fastest on one thread, and the tests' own processes share the cores."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test asserts on time, and a busy machine must not fail one.
settings.register_profile("hf_icrl", deadline=None)
settings.load_profile("hf_icrl")

"""Set before torch is imported: tiny models are fastest on one thread, and the tests' own processes share the cores."""

import os

import pytest
from hypothesis import settings
from loopback_hub.fixtures import hub, point_to_loopback  # noqa: F401

os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before test modules import anything of Hugging Face.
point_to_loopback()

# Helpers whose assertions tell what they compared, as those of test modules do.
pytest.register_assert_rewrite("envs_support", "loading_checks", "model_checks")

# No test asserts on time, and a busy machine must not fail one.
settings.register_profile("hf_icrl", deadline=None)
settings.load_profile("hf_icrl")

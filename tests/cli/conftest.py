"""One finished smoke quickstart for all tests of the command line."""

import pytest
from tests_support import hf_icrl


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(folder, CompletedProcess). Nobody may change the folder."""
    folder = tmp_path_factory.mktemp("quickstart") / "out"
    result = hf_icrl("quickstart", "--smoke", "--output_dir", folder)
    assert result.returncode == 0, result.stderr
    return folder, result

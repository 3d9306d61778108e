"""Writing never leaves half a file, and says clearly what went wrong."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from hf_icrl.files import atomic_file, atomic_folder, check_writable, read_json, write_json


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_file(path) as file:
        file.write("half of the new")
        raise KeyError("in mid-write")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_a_successful_write_replaces_the_file_with_ordinary_permissions(tmp_path):
    path = tmp_path / "new" / "report.json"
    with atomic_file(path, "wb") as file:
        file.write(b"bytes")
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert path.read_bytes() == b"bytes"
    assert path.stat().st_mode == ordinary.stat().st_mode


def test_a_failed_folder_leaves_the_old_folder_and_no_litter(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("old")
    with pytest.raises(KeyError), atomic_folder(folder) as temporary:
        (temporary / "weights").write_text("half")
        raise KeyError
    assert (folder / "weights").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_folder_replaces_a_folder_that_has_content(tmp_path):
    folder = tmp_path / "model"
    for text in ("old", "new"):
        with atomic_folder(folder) as temporary:
            (temporary / text).write_text(text)
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "report.json"
    write_json(path, {"mean": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"mean": float("nan")})
    assert json.loads(path.read_text()) == {"mean": 0.5}


def test_unreadable_json_is_named(tmp_path):
    path = tmp_path / "info.json"
    path.write_text('{"half":')
    with pytest.raises(ValueError, match=r"info\.json is not valid JSON"):
        read_json(path)


def test_a_file_in_the_place_of_the_folder_is_one_clear_error(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="Choose a folder that you may write to"):
        check_writable(tmp_path / "taken" / "below")
    assert (tmp_path / "taken").read_text() == "a file"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_explained_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")
    # /dev/full answers every write with ENOSPC; a dup of it in place of the temporary file is a real full disk.
    script = textwrap.dedent("""
        import errno, os, sys
        from hf_icrl.files import atomic_file
        try:
            with atomic_file(sys.argv[1]) as file:
                os.dup2(os.open("/dev/full", os.O_WRONLY), file.fileno())
                file.write("new" * 10_000)
        except OSError as error:
            print(error.errno == errno.ENOSPC, error.strerror)
    """)
    out = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True).stdout
    assert out.startswith("True the disk is full (")
    assert str(path) in out
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]

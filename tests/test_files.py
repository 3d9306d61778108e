"""Writing never leaves half a file, and says clearly what went wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from hf_icrl.files import (
    atomic_file,
    check_writable,
    full_disk_error,
    read_json,
    remove_temporaries,
    write_json,
)


def process(code, *args):
    """A Python process that runs `code` with hf_icrl's file functions and prints to a pipe."""
    code = "import os, signal, sys\nfrom hf_icrl.files import *\n" + textwrap.dedent(code)
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def killed(code, *args):
    """Run `code`, which must end by SIGKILL."""
    done = process(code, *args)
    done.communicate(timeout=60)
    assert done.returncode == -signal.SIGKILL


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
    assert out.startswith(f"True cannot write {path}: the disk is full (")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.json"]


KILL = "os.kill(os.getpid(), signal.SIGKILL)"
WRITE_FILE = f"""
    with atomic_file(sys.argv[1]) as file:
        file.write("half")
        file.flush()
        {KILL}
"""


@pytest.mark.parametrize("name", ["report.json", "a", "a.b.json"])
def test_the_next_write_removes_what_a_kill_left(tmp_path, name):
    path = tmp_path / name
    killed(WRITE_FILE, path)
    killed(WRITE_FILE, tmp_path / f"{name}.json")  # of another target
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_file(path) as file:
        file.write("whole")
    left = [p.name for p in tmp_path.iterdir() if p != path]
    assert path.read_text() == "whole"
    assert len(left) == 1
    assert left[0].startswith(f".{name}.json.")


def test_temporaries_of_a_run_folder_can_be_removed_and_nothing_else(tmp_path):
    for name in ("report.json", "model/report.json", "dataset/data.arrow"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        killed(WRITE_FILE, tmp_path / name)
    mine = [tmp_path / ".notes.abcdefgh.tmp", tmp_path / "report.json.tmp"]
    for path in mine:
        path.write_text("mine")
    remove_temporaries(tmp_path)
    assert set(tmp_path.rglob("*")) == {tmp_path / "model", tmp_path / "dataset", *mine}
    remove_temporaries(tmp_path / "nowhere")


def test_what_a_running_process_writes_stays(tmp_path):
    path = tmp_path / "target"
    code = """
        with atomic_file(sys.argv[1]) as new:
            print("writing", flush=True)
            sys.stdin.readline()
    """
    writer = process(code, path)
    assert writer.stdout.readline() == "writing\n"
    (temporary,) = tmp_path.iterdir()
    remove_temporaries(tmp_path)
    with pytest.raises(KeyError), atomic_file(path):
        raise KeyError
    assert list(tmp_path.iterdir()) == [temporary]
    writer.communicate("go on\n", timeout=60)
    assert writer.returncode == 0
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EFBIG, "the file would be larger than"),
        (None, "the disk or a quota is full"),
    ],
)
def test_every_lack_of_room_says_what_is_full_and_what_to_do(tmp_path, code, reason):
    error = full_disk_error(tmp_path / "not" / "yet" / "there", code)
    assert error.errno == (code or errno.ENOSPC)
    assert f"cannot write {tmp_path}/not/yet/there: {reason}" in error.strerror
    assert "run the same command again" in error.strerror
    assert full_disk_error(tmp_path, errno.EACCES) is None

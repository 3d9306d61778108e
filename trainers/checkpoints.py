"""Whole checkpoints: written aside and renamed, recognised by a manifest, torn ones passed over by name.

transformers' `Trainer` writes a checkpoint file by file into its final folder and takes the newest folder when it
resumes, whatever is in it: a folder torn by a kill either stops the run or, without `optimizer.pt` or
`rng_state.pth`, resumes silently with other weights. Here a checkpoint is written into `_partial-checkpoint-<step>/`,
its manifest (each file's size and SHA-256) is written last, and one rename makes it visible.
"""

import hashlib
import logging
import os
import re
import shutil
import zipfile
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open

from hf_icrl.files import FULL_CODES, full_disk_error, read_json, write_json
from hf_icrl.shapes import AtLeast, check_shape
from hf_icrl.untrusted import inside

logger = logging.getLogger(__name__)

MANIFEST = "checkpoint_manifest.json"
MANIFEST_FORMAT = 1
# The underscore keeps unfinished folders out of `Trainer.push_to_hub` (its ignore pattern is "_*") and out of
# transformers' search for checkpoints.
_PARTIAL = "_partial-"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def checkpoints_in(output_dir):
    """The `checkpoint-<step>` folders in `output_dir` as `(step, Path)`, highest step first; whole or not."""
    output_dir = Path(output_dir)
    found = []
    for path in output_dir.iterdir() if output_dir.is_dir() else ():
        match = _CHECKPOINT.fullmatch(path.name)
        if match and path.is_dir():
            found.append((int(match.group(1)), path))
    return sorted(found, reverse=True)


def last_whole_checkpoint(output_dir, world_size=1):
    """The newest whole checkpoint in `output_dir`, or `None`; warns, by name, about each newer torn one.

    Works for the checkpoints of `ICRLTrainer` (every file is compared with the manifest) and of plain
    `transformers.Trainer` (its files are looked at one by one), so that plain `Trainer` can resume safely too:
    `trainer.train(resume_from_checkpoint=last_whole_checkpoint(output_dir))`.

    Args:
        output_dir (`str` or `Path`): the `output_dir` of the run.
        world_size (`int`): number of training processes; each has its own random state to be restored.

    Returns:
        `str` or `None`.
    """
    for _, path in checkpoints_in(output_dir):
        fault = checkpoint_fault(path, world_size)
        if fault is None:
            return str(path)
        logger.warning("passed over the checkpoint %s: %s", path, fault)
    return None


def checkpoint_fault(folder, world_size=1):
    """Why training cannot resume exactly from the checkpoint `folder`, as a phrase; `None` if it can.

    Args:
        folder (`str` or `Path`): a `checkpoint-<step>` folder.
        world_size (`int`): number of training processes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return "there is no such folder"
    try:
        manifest = read_manifest(folder)
        if manifest is None:
            return _fault_without_manifest(folder) or _fault_of_state(folder, world_size)
        # Another number of processes is a difference of the run, not a fault of its checkpoint (run_identity.py).
        return _fault_by_manifest(folder, manifest) or _fault_of_state(folder, manifest["run"]["world_size"])
    except (OSError, ValueError) as error:
        return str(error)


def read_manifest(folder):
    """The manifest of a checkpoint as a dict, or `None` for a checkpoint of plain `transformers.Trainer`."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return None
    manifest = read_json(path)
    if not isinstance(manifest, dict) or not {"format", "run", "files"} <= set(manifest):
        raise ValueError(f"{path} is no checkpoint manifest; remove this checkpoint")
    files = {str: {"size": int, "sha256": str}}
    check_shape(manifest, {"run": {"world_size": AtLeast(1), "software": dict}, "files": files}, str(path))
    if manifest["format"] != MANIFEST_FORMAT:
        raise ValueError(
            f"{path} has format {manifest['format']!r}, this version reads {MANIFEST_FORMAT}; update hf_icrl"
        )
    return manifest


def partial_folder(run_dir, step):
    """Where the checkpoint of `step` is written until it is whole."""
    return Path(run_dir) / f"{_PARTIAL}checkpoint-{step}"


def remove_partial_folders(run_dir):
    """Remove what a killed process left half written."""
    for path in Path(run_dir).glob(f"{_PARTIAL}*"):
        shutil.rmtree(path, ignore_errors=True)


def complete_checkpoint(written, final, run):
    """Seal the checkpoint in the folder `written` with a manifest and rename it to `final`.

    Args:
        written (`Path`): the complete checkpoint, alone in its partial folder, which is removed.
        final (`Path`): `checkpoint-<step>`; a folder that stands there (torn, or of a run gone back to) is replaced.
        run (`dict`): what the run is, see `run_identity.py`; stored in the manifest.
    """
    files = {
        path.relative_to(written).as_posix(): {"size": path.stat().st_size, "sha256": _sync_and_hash(path)}
        for path in sorted(written.rglob("*"))
        if path.is_file()
    }
    write_json(written / MANIFEST, {"format": MANIFEST_FORMAT, "run": run, "files": files})
    _sync_folder(written)
    if final.exists():
        # A folder with content cannot be renamed over. Between these two renames there is no `final`; the older
        # checkpoints are still there, since rotation comes after.
        os.rename(final, written.parent / "replaced")
    os.rename(written, final)
    _sync_folder(final.parent)
    shutil.rmtree(written.parent, ignore_errors=True)


def rotate_checkpoints(run_dir, limit, keep):
    """Delete checkpoints until `limit` are left: first those without a manifest, then the oldest.

    Args:
        run_dir (`str` or `Path`): where the checkpoints are.
        limit (`int` or `None`): how many may stay; `None` or 0 means all.
        keep (`set` of `Path`): never deleted: the newest whole one, the best one.
    """
    if not limit or limit < 0:
        return
    by_worth = sorted(checkpoints_in(run_dir), key=lambda entry: ((entry[1] / MANIFEST).is_file(), entry[0]))
    spare = [path for _, path in by_worth if path not in keep]
    for path in spare[: max(0, len(by_worth) - limit)]:
        # Out of sight first, so that a kill in mid-deletion leaves no torn checkpoint.
        going = path.with_name(f"{_PARTIAL}deleted-{path.name}")
        os.rename(path, going)
        shutil.rmtree(going, ignore_errors=True)


@contextmanager
def explained_write_errors(path):
    """Turn the many ways in which torch, safetensors and Python say "disk full" into one `OSError` about `path`."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        text = str(error)
        code = error.errno if isinstance(error, OSError) else None
        if code is None:
            code = next((code for code in FULL_CODES if os.strerror(code) in text), None)
            # torch's zip writer reports a short write without saying why.
            if code is None and "PytorchStreamWriter" not in text and "iostream" not in text:
                raise
        full = full_disk_error(path, code)
        if full is None:
            raise
        raise full from error


def _fault_by_manifest(folder, manifest):
    for name, expected in manifest["files"].items():
        path = inside(folder, name, MANIFEST)
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != expected["size"]:
            return f"{name} has {size} bytes, the manifest says {expected['size']}"
        if _hash(path) != expected["sha256"]:
            return f"the content of {name} has changed: its SHA-256 is not the one in the manifest"
    return None


def _fault_without_manifest(folder):
    """Open what plain `Trainer` wrote, without unpickling anything."""
    if (folder / "checkpoint-is-incomplete.txt").exists():  # transformers' own marker, enable_jit_checkpoint
        return "checkpoint-is-incomplete.txt says so"
    weights = list(folder.glob("*.safetensors"))
    for index in folder.glob("*.safetensors.index.json"):
        content = read_json(index)
        check_shape(content, {"weight_map": {str: str}}, str(index))
        weights += [inside(folder, name, index.name) for name in set(content["weight_map"].values())]
    if not weights and not _is_sharded(folder):
        return "model.safetensors is missing"
    for path in weights:
        if not path.is_file():
            return f"{path.name} is missing"
        try:
            with safe_open(path, framework="np"):
                pass
        except SafetensorError as error:
            return f"{path.name} is torn ({error})"
    for path in folder.glob("*.pt*"):
        if not zipfile.is_zipfile(path):
            return f"{path.name} is torn (its end is missing)"
    return None


def _fault_of_state(folder, world_size):
    """What exact resumption needs beside the weights."""
    if not (folder / "trainer_state.json").is_file():
        return "trainer_state.json is missing"
    # Trainer writes a loss of NaN as it is.
    check_shape(read_json(folder / "trainer_state.json", finite=False), {"global_step": int}, "trainer_state.json")
    if not _is_sharded(folder):
        for name in ("optimizer.pt", "scheduler.pt"):
            if not (folder / name).is_file():
                return f"{name} is missing"
    names = ["rng_state.pth"] if world_size == 1 else [f"rng_state_{rank}.pth" for rank in range(world_size)]
    for name in names:
        if not (folder / name).is_file():
            return f"{name} is missing"
    return None


def _is_sharded(folder):
    """FSDP and DeepSpeed keep weights and optimizer in folders; without a manifest these are taken as they are."""
    names = ("pytorch_model_fsdp", "optimizer", "global_step")
    return any(path.is_dir() and path.name.startswith(names) for path in folder.iterdir())


def _hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_and_hash(path):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return digest


def _sync_folder(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

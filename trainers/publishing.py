"""What a training run gives away: metrics of an in-context evaluation, and model files without pickles."""

import os
from pathlib import Path

from transformers.trainer import TRAINING_ARGS_NAME

from hf_icrl.files import follow_umask
from hf_icrl.histories import MixtureWindows, read_info
from hf_icrl.histories.info import INFO_FILENAME


def in_context_metrics(report, prefix):
    """The figures of a report that are logged and that the best model can be chosen by.

    Args:
        report ([`~hf_icrl.rollouts.Report`]): of an in-context evaluation.
        prefix (`str`): "eval" gives `eval_normalized_return` and so on.

    Returns:
        `dict[str, float]`: without the normalised returns where the task family knows no oracle or random return.
    """
    metrics = {
        "return": report["last_episodes_return"],
        "first_episode_return": report["first_episode_return"],
        "rollout_seconds": report["wall_clock_seconds"],
    }
    if report["normalized_return"] is not None:
        metrics["normalized_return"] = report["normalized_return"]["mean"]
        metrics["worst_task_return"] = report["normalized_return"]["worst"]
    return {f"{prefix}_{name}": value for name, value in metrics.items()}


def move_model_files(staging, folder):
    """Move a saved model from `staging` into `folder`, each file by one rename.

    Left behind are `training_args.bin`, a pickle, and the README.md that PEFT writes, an empty form which would replace
    the card. Permissions follow the umask; safetensors makes its files private.

    Weight files of an earlier save that the new one does not have (it has fewer shards) are removed, so that the
    weights of two models are never mixed.
    """
    files = [
        path for path in staging.rglob("*") if path.is_file() and path.name not in (TRAINING_ARGS_NAME, "README.md")
    ]
    names = {path.relative_to(staging) for path in files}
    for path in files:
        target = folder / path.relative_to(staging)
        target.parent.mkdir(parents=True, exist_ok=True)
        follow_umask(path)
        os.replace(path, target)
    for pattern in ("model*.safetensors", "model.safetensors.index.json"):
        for path in folder.glob(pattern):
            if path.relative_to(folder) not in names:
                path.unlink()


def training_data(train_dataset):
    """Where the training data lie and what is known about them, for the report and the card.

    Args:
        train_dataset (`HistoryWindows`, `MixtureWindows` or other): memory-mapped data know their folder.

    Returns:
        `(str or None, dict or None)`: the folder, and its `history_info.json`.
    """
    mixture = isinstance(train_dataset, MixtureWindows)
    windows = train_dataset.parts[0] if mixture else train_dataset
    files = getattr(getattr(windows, "dataset", windows), "cache_files", None)
    if not files:
        return None, None
    folder = Path(files[0]["filename"]).parent
    if mixture:  # its parts lie side by side
        folder = folder.parent
    return str(folder), read_info(folder) if (folder / INFO_FILENAME).is_file() else None

"""`push`: a folder of ours to the Hub."""

import tempfile
from pathlib import Path

from hf_icrl.histories.info import INFO_FILENAME
from hf_icrl.model_folder import RECIPE_FILE
from hf_icrl.pushing.cards import hub_model_card
from hf_icrl.pushing.commits import publishable, push_files
from hf_icrl.pushing.histories import histories_files

# What a model's folder may hold that this code wrote: of an older push it would be taken for a part of the new model.
_STALE_MODEL = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.py",
    "adapter_config.json",
    "evaluation_sets.json",
    "evaluations/*",
    "report.json",
    RECIPE_FILE,
    INFO_FILENAME,
    "learning_curve.png",
    "sets.png",
    "regret.png",
    "success.png",
    "replay.mp4",
    # Pickles of other programs, which the safetensors replace.
    "pytorch_model*.bin",
    "pytorch_model.bin.index.json",
    "training_args.bin",
)
_CONFIGS = ("config.json", "adapter_config.json")


def push(folder, repo_id, *, config_name=None, **options):
    """Push a model or learning histories, whichever `folder` holds; see `push_model` and `push_histories`.

    Raises:
        ValueError: it holds neither; or a `config_name` was given for a model.
    """
    folder = Path(folder)
    if any((folder / name).is_file() for name in _CONFIGS):
        if config_name is not None:
            raise ValueError(f"{folder} holds a model, and config_name={config_name!r} is for learning histories")
        return push_model(folder, repo_id, **options)
    if (folder / INFO_FILENAME).is_file():
        return push_histories(folder, repo_id, config_name=config_name, **options)
    parts = [str(folder / name) for name in ("model", "dataset") if (folder / name).is_dir()]
    if parts:
        raise ValueError(f"{folder} is a run folder; push one of its parts: {', '.join(parts)}")
    raise ValueError(
        f"{folder} holds neither a model (config.json) nor learning histories ({INFO_FILENAME}): name the folder that does"
    )


def push_model(
    folder, repo_id, *, dataset_id=None, revision=None, private=None, token=None, tag=None, commit_message=None
):
    """Push a model's folder to the Hub: one commit with weights, config, code, card, report, recipe, plot and replay.

    Everything in the folder goes along but pickles, checkpoints, logs and hidden files. In the card, the code loads the
    model from the Hub, whatever else was written into it. Weights, code and reports of an older push that are no longer in
    the folder are removed by the same commit; files of others stay.

    Args:
        folder (`str` or `Path`): such as `runs/quickstart/model`.
        repo_id (`str`): `user/name` or `organisation/name`; made if it is not there.
        dataset_id (`str`, *optional*): the Hub id of what it was trained on, for the card.
        revision (`str`, *optional*): a branch, made if it is not there; default "main".
        private (`bool`, *optional*): whether a new repository is private; default what the account or organisation says.
        token (`str`, *optional*): default the one of `hf auth login` or of the environment.
        tag (`str`, *optional*): a name for the new commit, to load by: `from_pretrained(..., revision=tag)`.
        commit_message (`str`, *optional*): its title.

    Returns:
        `huggingface_hub.CommitInfo`, with `oid`, the commit, and `repo_url`.

    Raises:
        ValueError: no whole model in the folder, a token in one of its files, or a public repository where a private one
            was asked for.
        PushConflict, PushFailed: see `push_files`.
    """
    folder = Path(folder)
    files, _ = publishable(folder)
    if not any(name in files for name in _CONFIGS):
        raise ValueError(f"{folder} holds no model: there is no config.json in it")
    if not any(name.endswith(".safetensors") for name in files):
        raise ValueError(f"{folder} holds no weights: there is no safetensors file in it; save the model again")
    files["README.md"] = hub_model_card(folder, repo_id, dataset_id=dataset_id).encode()
    return push_files(
        files,
        repo_id,
        stale=_STALE_MODEL,
        revision=revision,
        private=private,
        token=token,
        tag=tag,
        commit_message=commit_message or "Push model with hf_icrl",
    )


def push_histories(
    folder, repo_id, *, config_name=None, revision=None, private=None, token=None, tag=None, commit_message=None
):
    """Push learning histories to the Hub: one commit with parquet files, card, `history_info.json`, plot and replay.

    `datasets.load_dataset(repo_id, split="train")` then gives the same rows; of a mixture,
    `load_dataset(repo_id, part, split="train")` each part.

    Args:
        folder (`str` or `Path`): what `collect`, `collect_mixture` or an importer wrote.
        repo_id, revision, private, token, tag, commit_message: see `push_model`.
        config_name (`str`, *optional*): puts them beside others in one repository, each with a name, to be loaded by
            `load_dataset(repo_id, config_name, split="train")`.

    Returns:
        `huggingface_hub.CommitInfo`.

    Raises:
        FileNotFoundError, ValueError: no finished learning histories in the folder; a name for the parts of a mixture,
            which have their own; or the repository holds histories of another kind (with names, or without).
        PushConflict, PushFailed: see `push_files`.
    """
    with tempfile.TemporaryDirectory(prefix="hf_icrl-push-") as staging:
        files, stale, parent = histories_files(Path(folder), Path(staging), repo_id, config_name, revision, token)
        return push_files(
            files,
            repo_id,
            repo_type="dataset",
            stale=stale,
            parent=parent,
            revision=revision,
            private=private,
            token=token,
            tag=tag,
            commit_message=commit_message or "Push learning histories with hf_icrl",
        )

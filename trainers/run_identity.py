"""What decides the bits of a training run, so that resuming with something else can be refused by name."""

import hashlib
import json
import logging
from importlib.metadata import version

import numpy as np
import torch
from transformers.trainer_utils import has_length

import hf_icrl
from hf_icrl.naming import differences

logger = logging.getLogger(__name__)

# The training arguments on which the final weights depend. What only decides when to log, evaluate or save is not
# here: `ICRLTrainer` keeps evaluation from touching the random streams.
_ARGUMENTS = (
    "seed",
    "data_seed",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "world_size",
    "n_gpu",
    "max_steps",
    "num_train_epochs",
    "train_sampling_strategy",
    "dataloader_drop_last",
    "learning_rate",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "warmup_steps",
    "optim",
    "optim_args",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "max_grad_norm",
    "label_smoothing_factor",
    "average_tokens_across_devices",
    "neftune_noise_alpha",
    "bf16",
    "fp16",
)
# Entries of a model's config that say where it came from or how it is used, not what is trained.
# A fresh model's config leaves `dtype` open, a loaded one's does not; the parameters tell.
_NOT_THE_MODEL = {
    "transformers_version",
    "hf_icrl_version",
    "format_version",
    "_name_or_path",
    "architectures",
    "auto_map",
    "use_cache",
    "dtype",
}


def describe_run(args, model, train_dataset):
    """Everything that the final weights depend on, as a JSON-able dict: arguments, model, data, software.

    Args:
        args (`TrainingArguments`): the training arguments.
        model (`PreTrainedModel` or `PeftModel` or `nn.Module`): the model before training.
        train_dataset (`Dataset` or `IterableDataset`): the training data.
    """
    values = {name: getattr(args, name) for name in _ARGUMENTS}
    if args.max_steps > 0:
        del values["num_train_epochs"]
    run = {**values, "model": _describe_model(model), "train_dataset": _describe_data(args, train_dataset)}
    run["software"] = {
        "hf_icrl": hf_icrl.__version__,
        **{name: version(name) for name in ("torch", "transformers", "accelerate")},
        "device": args.device.type,
        "threads": torch.get_num_threads(),
    }
    return json.loads(json.dumps(run, default=_plain))


def check_same_run(recorded, now, checkpoint, exact):
    """Compare a checkpoint's run with the one that wants to resume from it.

    Args:
        recorded, now (`dict`): from `describe_run`.
        checkpoint (`str`): for the message.
        exact (`bool`): raise on a difference (otherwise warn).

    Raises:
        ValueError: naming each difference with both values.
    """
    recorded, now = dict(recorded), dict(now)
    for name, old, new in differences(recorded.pop("software"), now.pop("software")):
        logger.warning("%s was trained with %s %s, now it is %s: the last bits may differ", checkpoint, name, old, new)
    found = [f"{name}: it has {old}, now {new}" for name, old, new in differences(recorded, now)]
    if not found:
        return
    text = f"{checkpoint} is of a run with other arguments:\n  " + "\n  ".join(found) + "\n"
    if exact:
        raise ValueError(
            f"{text}use the same values to go on, another output_dir to start afresh, or exact_resume=False to go on "
            "all the same, with weights that no uninterrupted run would have"
        )
    logger.warning("%sgoing on all the same, because exact_resume is False", text)


def _describe_model(model):
    described = {"class": type(model).__name__}
    if hasattr(model, "config"):
        described["config"] = _without(json.loads(model.config.to_json_string(use_diff=False)), _NOT_THE_MODEL)
    if hasattr(model, "peft_config"):
        described["peft"] = {name: adapter.to_dict() for name, adapter in model.peft_config.items()}
    described["dtypes"] = sorted({str(p.dtype) for p in model.parameters()})
    # Covers what no config says, such as which parameters are frozen.
    described["trainable_parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return described


def _describe_data(args, dataset):
    described = {"class": type(dataset).__name__}
    if not has_length(dataset) or isinstance(dataset, torch.utils.data.IterableDataset):
        # Its stream depends on how many workers share it; that of a map-style dataset does not.
        return {**described, "workers": args.dataloader_num_workers}
    described["rows"] = len(dataset)
    # What says which windows these are (`HistoryWindows`, `MixtureWindows`); the digest would only say "other rows".
    names = ("length", "num_windows", "seed", "times", "predecessors", "weighting", "weights")
    for name in (*names, "num_actions", "own_actions"):
        value = getattr(dataset, name, None)
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(value, int | str | list):
            described[name] = value
    if len(dataset) > 0:
        # Of a mixture, three rows of each part: those of the whole may all be of one.
        parts = getattr(dataset, "parts", None) or [dataset]
        digest, again = (_digest([_three_rows(part) for part in parts]) for _ in range(2))
        if digest == again:
            described["sha256_of_three_rows"] = digest
        else:
            logger.warning(
                "rows of the train_dataset change from one reading to the next, so a resumed run cannot end with the "
                "weights of an uninterrupted one; make a row a pure function of its index (as HistoryWindows does)"
            )
    return described


def _three_rows(dataset):
    return [dataset[i] for i in sorted({0, len(dataset) // 2, len(dataset) - 1})]


def _digest(value):
    """SHA-256 of nested lists and dicts of tensors, arrays and plain values."""
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()


def _feed(sha, value):
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()  # NumPy has no bfloat16
    if isinstance(value, np.ndarray):
        sha.update(f"{value.dtype}{value.shape}".encode())
        sha.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            _feed(sha, str(key))
            _feed(sha, value[key])
    elif isinstance(value, list | tuple):
        sha.update(f"{len(value)}".encode())
        for item in value:
            _feed(sha, item)
    elif isinstance(value, str | bytes | bool | int | float | np.generic | None):
        sha.update(f"{type(value).__name__}{value!r}".encode())
    else:
        sha.update(type(value).__name__.encode())  # an image, say: its repr may hold an address


def _without(value, names):
    if isinstance(value, dict):
        return {key: _without(entry, names) for key, entry in value.items() if key not in names}
    return [_without(entry, names) for entry in value] if isinstance(value, list) else value


def _plain(value):
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return value.item() if isinstance(value, np.generic) else str(value)

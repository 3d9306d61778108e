"""Collect learning histories into a folder."""

import errno
import shutil
from contextlib import closing
from pathlib import Path

from tqdm.auto import tqdm

from hf_icrl.checks import checked_int
from hf_icrl.dataset_builders.collection import Collection
from hf_icrl.dataset_builders.plan import CollectionPlan
from hf_icrl.dataset_builders.shards import (
    complete,
    is_complete,
    is_only_announced,
    missing_shards,
    read_request,
    remove_temporary_files,
    write_request,
)
from hf_icrl.dataset_builders.workers import write_shards
from hf_icrl.files import check_writable, locked
from hf_icrl.naming import differences


def collect(
    family,
    source,
    *,
    output_dir,
    histories_per_task,
    episodes,
    env_kwargs=None,
    source_params=None,
    seed=0,
    split_seed=0,
    held_out=0.2,
    validation=0,
    population=None,
    tasks="train",
    columns=(),
    subsample=1,
    skip=0,
    keep=None,
    num_proc=1,
    histories_per_shard=None,
    command=None,
    progress=True,
):
    """Run a source algorithm on the tasks of a family and write the learning histories to `output_dir`.

    The folder is one that `datasets.load_from_disk` opens, memory-mapped, with `history_info.json` beside the shards.
    Interrupted, the same call goes on at the first missing shard; in a finished folder it returns at once. The data
    files are the same bytes whatever `num_proc`, interrupted or not. Nothing is written outside `output_dir`.

    Memory does not grow with the data: each process takes at most about 0.4 GB beside what the source itself holds (its
    tables or networks), 0.2 GB of that being Python's libraries. A shard's recording that is larger than 128 MiB lies
    in a nameless file of `output_dir` until the shard is written. While a source generates, torch and NumPy's OpenBLAS
    have one thread, since their results depend on the number of threads.

    Args:
        family (`str` or `hf_icrl.tasks.TaskFamily`): the task family, or its name with `env_kwargs`.
        source (`str` or `hf_icrl.sources.Source`): the source algorithm, or its name with `source_params`.
        output_dir (`str` or `Path`): a new or empty folder, or one that the same call has begun or finished.
        histories_per_task (`int`): runs of the source on each task.
        episodes (`int`): episodes of each run.
        env_kwargs (`dict`, *optional*): environment arguments that all tasks share.
        source_params (`dict`, *optional*): parameters of the source.
        seed (`int`, *optional*, defaults to 0): with a history's id it decides all that is random in the history.
        split_seed (`int`, *optional*, defaults to 0), held_out (`float`, `int`, `str` or `list`,
            *optional*, defaults to 0.2): the split, see `TaskFamily.split`.
        validation (`int`, *optional*, defaults to 0): train tasks to set aside for choices that held-out tasks must
            not make (`hf_icrl.tasks.validation_split`); no history is collected on them.
        population (`dict`, *optional*): which tasks there are at all, the arguments of `TaskFamily.sample`.
        tasks (`str`, *optional*, defaults to `"train"`): which tasks to collect on, `"train"` or `"held_out"`.
        columns (`list[str]`, *optional*): optional columns to record: "time" (the steps that the running episode has
            had), "optimal_actions" (the demonstrator's), and what the source offers ("log_probs"). The column
            "available_actions" is written wherever tasks of the family may lack some of its actions.
        subsample (`int`, *optional*, defaults to 1): keep every k-th episode of a run: a faster learner to distil.
        skip (`int`, *optional*, defaults to 0): episodes to leave out at the beginning of each run.
        keep (`int`, *optional*): at most so many episodes of each run, after skipping and subsampling; what comes after
            the last of them is not even run.
        num_proc (`int`, *optional*, defaults to 1): processes.
        histories_per_shard (`int`, *optional*): histories of one file, which are made side by side, and which are what
            an interruption can lose. By default about 2**22 steps, fewer of large observations; up to 2**25 where fewer
            than 64 histories would fit; and 2**18 for sources whose learners run one after the other.
        command (`str`, *optional*): recorded as the command that made the data.
        progress (`bool`, *optional*, defaults to `True`): say what will be done, and show a bar (in a terminal).

    Returns:
        [`Collection`]: shows itself in a notebook; `.dataset`, `.info`, `.returns`.

    Raises:
        ValueError: a bad argument, a folder that holds something else, or shards that were collected with other
            arguments (the first one that differs is named, with both values).
        OSError: the folder cannot be written, the disk is full or too small, or another process collects there.
        RuntimeError: a process died. In each case finished shards stay, and nothing else is touched.
    """
    folder = Path(output_dir)
    num_proc = checked_int(num_proc, "num_proc", 1)
    plan = CollectionPlan(
        family,
        source,
        env_kwargs=env_kwargs,
        source_params=source_params,
        histories_per_task=histories_per_task,
        episodes=episodes,
        seed=seed,
        split_seed=split_seed,
        held_out=held_out,
        validation=validation,
        population=population,
        tasks=tasks,
        columns=columns,
        subsample=subsample,
        skip=skip,
        keep=keep,
        histories_per_shard=histories_per_shard,
    )
    begun = read_request(folder)
    if begun is not None and not is_only_announced(folder):
        _check_same_arguments(begun["arguments"], plan.request, folder)
        if is_complete(plan, folder):
            _say(progress, f"{folder} is collected already; nothing to do")
            return Collection(folder, new_shards=0)
    plan.check_source()  # before anything is written
    check_writable(folder)
    with locked(folder, "collecting into"):
        begun = read_request(folder)  # once more, now that no other process can begin
        if begun is not None and is_only_announced(folder):
            begun = None  # there is nothing yet that other arguments could spoil
        if begun is not None:
            _check_same_arguments(begun["arguments"], plan.request, folder)
            _check_same_code(begun["code"], plan.code, folder)
        remove_temporary_files(folder)
        if begun is None:
            write_request(plan, folder)
        missing = missing_shards(plan, folder)
        _say(progress, _announcement(plan, folder, len(missing)))
        _check_room(plan, folder, len(missing), num_proc)
        with tqdm(
            desc="collecting",
            unit=" histories",
            total=plan.num_histories,
            initial=plan.num_histories - sum(len(plan.histories_of(s)) for s in missing),
            disable=None if progress else True,
        ) as bar:
            try:
                with closing(write_shards(plan, folder, missing, num_proc)) as written:
                    for shard in written:
                        bar.update(len(plan.histories_of(shard)))
            finally:
                remove_temporary_files(folder)
        complete(plan, folder, command)
    return Collection(folder, new_shards=len(missing))


def _check_same_arguments(begun, now, folder):
    for name, old, new in differences(begun, now):
        raise ValueError(
            f"{folder} was begun with {name} = {old!r}, now it is {new!r}; use the same value to go on, or another "
            "output_dir to start afresh"
        )


def _check_same_code(begun, now, folder):
    if begun != now:
        raise ValueError(
            f"{folder} was begun by another version of the code that generates histories (digest {begun}, now {now}), "
            "and one data set must not mix two: delete the folder, or choose another output_dir"
        )


def _announcement(plan, folder, num_missing):
    there = plan.num_shards - num_missing
    text = (
        f"collecting {plan.num_histories:,} histories ({len(plan.tasks)} {plan.split} tasks x "
        f"{plan.histories_per_task}) of {len(plan.keep):,} episode{'s' * (len(plan.keep) != 1)}: at most {plan.max_transitions:,} transitions, "
        f"{_size(plan.max_bytes())}, in {plan.num_shards} shard{'s' * (plan.num_shards != 1)} of {folder}"
    )
    return text + (f"; {there} of them there already" if there else "")


def _check_room(plan, folder, num_missing, num_proc):
    needed = plan.max_bytes() * num_missing // plan.num_shards + plan.scratch_bytes() * min(num_proc, num_missing)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{folder} has {_size(free)} free, the {num_missing} missing shards may need {_size(needed)}: free some "
            "space, choose another output_dir, or collect fewer histories",
        )


def _size(num_bytes):
    return f"{num_bytes / 1e6:,.1f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:,.1f} GB"


def _say(progress, text):
    if progress:
        print(text, flush=True)

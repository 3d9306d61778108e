"""`evaluate`: how well a frozen model learns in context, on tasks that it was never trained on."""

import contextlib
import os
import time

from hf_icrl.checks import checked_bool
from hf_icrl.model_folder import load_model
from hf_icrl.rollouts.acting import rollout
from hf_icrl.rollouts.reporting import RECORDED, report_of, row_ids_of
from hf_icrl.rollouts.which_tasks import resolve


def evaluate(
    model,
    family=None,
    tasks=None,
    *,
    episodes=100,
    seeds=10,
    seed=0,
    last_episodes=5,
    temperature=None,
    overflow=None,
    refill_keep=None,
    act_with_dropout=None,
    evaluation_set="held_out",
    reference=None,
    dataset=None,
    command=None,
    progress=False,
):
    """Roll a model out on all tasks and seeds at once and report how its return grows from episode to episode.

    Args:
        model: a model that can act, or the folder or Hub id of one.
        family (task family or its name, *optional*): by default, the environment that the model was trained in, as
            the `history_info.json` (the record of its data) or else the `recipe.yaml` beside its weights say.
        tasks (list of task dicts, *optional*): by default, the tasks that `evaluation_set` names there. For an
            environment that the model was not trained in, the held-out tasks are those of `family.split()`. When
            neither file is there, tasks must be given: nobody else knows which ones are held out.
        episodes (`int`): episodes in one context, at least 1.
        seeds (`int`): how often each task is rolled out, with independent sampling.
        seed (`int`): what the random streams are derived from. Row (task index, seed index) has row id
            `seed_index * 2**31 + task_index`, so a row's result does not depend on how many others there are.
        last_episodes (`int`): over how many of the last episodes the normalised return is taken; if fewer are
            played, over all of them.
        temperature, overflow, refill_keep (*optional*): override the model's config.
        act_with_dropout (`bool`, *optional*): overrides it, too, for this evaluation. With dropout a row's result depends
            on how many others there are.
        evaluation_set (`str`): "held_out", "validation" or "train": which tasks these are, for the report. For given
            tasks "held_out" is the caller's word, checked against the files beside the model wherever they are.
        reference (`SourceReference`, *optional*): what the source of its histories reaches on these tasks, from
            `hf_icrl.sources.reference.source_reference`; the report then compares the model with it.
        dataset (`str`, *optional*): what the model was trained on, for the report: a folder or a Hub id.
        command (`str`, *optional*): the command line that reproduces the report.
        progress (`bool`): show a progress bar if there is a terminal.

    Returns:
        [`Report`]: shows itself as a table and a curve; `report.save(folder)` writes report.json,
        learning_curve.png and replay.mp4.

    Raises:
        ValueError: a count below 1; nothing says which tasks to use; or a task is to be reported as held-out that the
            model was trained on or chosen on, according to the files beside its weights.

    Example:
        >>> report = hf_icrl.evaluate(AutoModel.from_pretrained("quickstart/model"), episodes=40, seeds=3)
        >>> print(report)
    """
    if min(episodes, seeds) < 1:
        raise ValueError(f"episodes is {episodes} and seeds is {seeds}; both must be at least 1")
    model = loaded(model)
    family, tasks = resolve(family, tasks, evaluation_set, model.config)
    drawing = {"temperature": temperature, "overflow": overflow, "refill_keep": refill_keep}
    row_ids = row_ids_of(len(tasks), seeds)

    result, dropout, seconds = timed_rollout(
        model,
        lambda: family.make_vec(tasks * seeds),
        episodes,
        act_with_dropout,
        seed=seed,
        row_ids=row_ids,
        progress=progress,
        **drawing,
    )
    return report_of(
        result,
        model=model,
        family=family,
        tasks=tasks,
        seeds=seeds,
        seed=seed,
        row_ids=row_ids,
        last_episodes=last_episodes,
        drawing={**drawing, "act_with_dropout": dropout},
        evaluation_set=evaluation_set,
        more={
            "dataset": None if dataset is None else os.fspath(dataset),
            "wall_clock_seconds": seconds,
            "command": command,
        },
        reference=reference,
    )


def timed_rollout(model, make_envs, episodes, act_with_dropout, **options):
    """One rollout that records what reports need, in environments that are made for it and closed after it.

    Args:
        model, episodes (`int`), options: as `rollout` takes them.
        make_envs: a function without arguments that makes the environments.
        act_with_dropout (`bool`, *optional*): see `dropout_when_acting`.

    Returns:
        `(Rollout, bool, float)`: what was done, whether with dropout, and the seconds that it took, to the millisecond.
    """
    start = time.perf_counter()
    envs = make_envs()
    try:
        with dropout_when_acting(model, act_with_dropout) as dropout:
            result = rollout(model, envs, episodes, record=RECORDED, **options)
    finally:
        envs.close()
    return result, dropout, round(time.perf_counter() - start, 3)


@contextlib.contextmanager
def dropout_when_acting(model, wanted):
    """Within it `model` acts with dropout or without, as `wanted` says; None leaves it to the model's config.

    Yields:
        `bool`: which of them.

    Raises:
        ValueError: dropout is asked for of a model that has none.
    """
    own = model.config.act_with_dropout
    wanted = own if wanted is None else checked_bool(wanted, "act_with_dropout")
    if wanted and not own:
        rates = {name: rate for name, rate in model.config.trunk_config.to_dict().items() if _is_dropout(name)}
        if not any(rates.values()):
            raise ValueError(
                f"act_with_dropout is true, but this model was trained without dropout ({rates}), so nothing would change: "
                "train one with it, such as --model.trunk_config.attention_dropout 0.3"
            )
    model.config.act_with_dropout = wanted
    try:
        yield model.config.act_with_dropout
    finally:
        model.config.act_with_dropout = own


def _is_dropout(name):
    # GPT-2 calls its rates attn_pdrop, embd_pdrop and resid_pdrop.
    return name.endswith(("dropout", "pdrop"))


def loaded(model):
    """The model itself, or the one that a folder or a Hub id names."""
    if isinstance(model, str | os.PathLike):
        return load_model(model)
    return model

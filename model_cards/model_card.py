"""Write a model's README.md and its machine-readable results."""

import json
import os
import re
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData, eval_result_entries_to_yaml

from hf_icrl.files import atomic_file, read_json
from hf_icrl.model_cards.ours import CARD_FILE, card_metadata, check_model_card_place
from hf_icrl.model_cards.rendering import render
from hf_icrl.model_cards.sets_table import evaluation_sets
from hf_icrl.model_cards.snippets import acting_snippet, usage_snippet
from hf_icrl.model_folder import count_parameters
from hf_icrl.rollouts.report import CURVE_FILE, REPLAY_FILE, Report
from hf_icrl.shapes import Maybe, check_shape
from hf_icrl.untrusted import MAX_YAML_BYTES, parse_yaml, read_text

# `.eval_results/` entries refer to a benchmark dataset on the Hub; this is the name under which our task families
# are listed there.
BENCHMARK = "hf-icrl/in-context-reinforcement-learning"

# The snippet lets the model act for as many episodes as were evaluated, but never for longer than one likes to wait.
_SNIPPET_EPISODES = 40

# Model type -> how the method is called, its paper, and the paper's arXiv number (the Hub links it from the text).
METHODS = {
    "hf_icrl_algorithm_distillation": (
        "Algorithm Distillation",
        "In-context Reinforcement Learning with Algorithm Distillation (Laskin et al., 2022)",
        "2210.14215",
    ),
    "hf_icrl_headless_ad": (
        "Headless-AD",
        "In-Context Reinforcement Learning for Variable Action Spaces (Sinii et al., 2023)",
        "2312.13327",
    ),
}
# What a card reads of a config.json.
_CONFIG = {
    "model_type": Maybe(str),
    "trunk_config": Maybe((dict, None)),
    "observation_space": Maybe((dict, None)),
    "action_space": Maybe((dict, None)),
}
# The methods whose models act with any number of Discrete actions.
_ANY_ACTIONS = ("hf_icrl_headless_ad",)


def write_model_card(
    folder,
    *,
    report=None,
    recipe=None,
    dataset_info=None,
    base_model=None,
    model_id=None,
    dataset_id=None,
    license=None,
):
    """Write `README.md` into `folder`, and `.eval_results/*.yaml` if the report is about held-out tasks.

    A report with a `note` (a smoke run, say) is shown, but offers no result to leaderboards: neither in the metadata
    nor in `.eval_results/`, where what an earlier card wrote is removed.

    Args:
        folder (`str` or `Path`): usually the model's folder. The plot and the video are shown if they lie there
            already (`report.save(folder)`), and so is what `SetReports.save(folder)` writes; size and settings of the
            model are read from its `config.json`.
        report (`Report`, *optional*): what the model reaches.
        recipe (`dict`, *optional*): the recipe that made the model, with its sections.
        dataset_info (`dict`, *optional*): the `history_info.json` of what it was trained on.
        base_model (`str`, *optional*): the Hub id of the model it was fine-tuned from; by default the old card's, or
            what an adapter in the folder says.
        model_id (`str`, *optional*): what the snippet loads. By default the path in the report, else `folder` as
            given, so that the snippet runs where the command of the card ran; pass the Hub id when pushing.
        dataset_id (`str`, *optional*): Hub id of the training data; by default the report's, if it is a Hub id, or
            the old card's.
        license (`str`, *optional*): an identifier that the Hub knows; by default the old card's, or apache-2.0.

    Returns:
        `Path` of the README.md.

    Raises:
        ValueError: there is a README.md that is no model card of ours, or a file that the card shows is damaged.
    """
    folder = Path(folder)
    check_model_card_place(folder)
    if isinstance(report, str | os.PathLike):
        report = Report.from_file(report)
    model_id = str(model_id or (report and report["model"]) or folder)
    config, parameters = _model_facts(folder, model_id)
    any_actions = config.get("model_type") in _ANY_ACTIONS
    method, paper, arxiv = METHODS.get(config.get("model_type"), (None, None, None))
    old = card_metadata(folder / CARD_FILE)
    dataset_ids = [dataset_id or _hub_id(report and report["dataset"])]
    dataset_ids = old.get("datasets") if dataset_ids == [None] else dataset_ids
    base_model = base_model or old.get("base_model") or _adapted(folder)
    # What it was trained on: one kind of histories, or several.
    parts = [] if dataset_info is None else dataset_info.get("mixture", [dataset_info])
    # A mixture's recipe says where to act; imported data belong to no family.
    told = parts and parts[0]["family"] and (len(parts) == 1 or recipe is None)
    setting = _setting(report, recipe, parts[0] if told else None)
    where = setting["env_id"].rpartition("/")[2] if setting else None
    title = f"{method or 'In-context reinforcement learning'}{f' on {where}' if where else ''}"
    metadata = ModelCardData(
        library_name="hf-icrl",
        pipeline_tag="reinforcement-learning",
        license=license or old.get("license") or "apache-2.0",
        datasets=dataset_ids,
        base_model=base_model,
        tags=_tags(config, setting, arxiv),
        model_name=title,
        eval_results=_eval_results(report),
    )
    text = render(
        "model_card",
        metadata=metadata.to_yaml(),
        title=title,
        method=method,
        paper=paper,
        arxiv=arxiv,
        report=report,
        rows=report.rows() if report else [],
        curve=CURVE_FILE if (folder / CURVE_FILE).is_file() else None,
        replay=REPLAY_FILE if (folder / REPLAY_FILE).is_file() else None,
        snippet=_snippet(model_id, setting),
        any_actions=any_actions,
        acting=None if setting is None else _acting(setting, any_actions),
        sets=evaluation_sets(folder),
        config=config,
        parameters=parameters,
        recipe=recipe,
        parts=parts,
        synthetic=any(part["source"]["name"] == "noise_curriculum" for part in parts),
        base_model=base_model,
    )
    path = folder / CARD_FILE
    _write_eval_results(folder, report)
    with atomic_file(path) as file:
        file.write(text)
    return path


def _model_facts(folder, model_id):
    """(config.json as a dict, number of parameters or None), from `folder` or from where the model was loaded."""
    for place in (folder, Path(model_id)):
        if (place / "config.json").is_file():
            config = read_json(place / "config.json", dict, finite=False)
            check_shape(config, _CONFIG, str(place / "config.json"))
            return config, count_parameters(place)
    return {}, None


def _adapted(folder):
    """The Hub id of the model that an adapter in `folder` belongs to, or None."""
    path = folder / "adapter_config.json"
    base = read_json(path, dict).get("base_model_name_or_path") if path.is_file() else None
    return _hub_id(base) if isinstance(base, str) else None


def _setting(report, recipe, info):
    """Where the model acts: family, env_id, env_kwargs, tasks and how many episodes; None if nobody says."""
    if report is not None and report.get("family"):
        return {key: report[key] for key in ("family", "env_id", "env_kwargs", "tasks", "episodes")}
    if info is not None:
        own = {key: info[key] for key in ("family", "env_id", "env_kwargs", "episodes")}
        return own | {"tasks": info["tasks"].get("held_out") or info["tasks"]["train"]}
    if recipe is not None and "environment" in recipe:
        from hf_icrl.tasks import family_of_section

        family, tasks = family_of_section(recipe["environment"])
        return {
            "family": family.name,
            "env_id": family.env_id,
            "env_kwargs": family.env_kwargs,
            "tasks": tasks["held_out"] or tasks["train"],
            "episodes": _SNIPPET_EPISODES,
        }
    return None


def _snippet(model_id, setting):
    if setting is None:
        return None
    episodes = min(_SNIPPET_EPISODES, setting["episodes"])
    return usage_snippet(model_id, setting["family"], setting["env_kwargs"], setting["tasks"], episodes=episodes)


def _acting(setting, any_actions):
    if not any_actions:
        return acting_snippet()
    from hf_icrl.tasks import task_family

    sets = task_family(setting["family"], **setting["env_kwargs"]).available_actions(setting["tasks"][:1])
    return acting_snippet(actions="all" if sets is None else "family")


def _tags(config, setting, arxiv):
    tags = ["reinforcement-learning", "in-context-learning", "in-context-reinforcement-learning", "hf-icrl"]
    kind = config.get("model_type", "").removeprefix("hf_icrl_").replace("_", "-")
    return tags + [tag for tag in (kind, setting and setting["env_id"], arxiv and f"arxiv:{arxiv}") if tag]


def _results(report):
    """(metric, name, value) of what a report can say; normalised where the family has a scale."""
    last = report["last_episodes"]
    over = f"last {last} of {report['episodes']} in-context episodes"
    normalized = report["normalized_return"]
    if normalized is None:
        value = report.last_return
        return [("mean_reward", f"mean return, {over}", value)]
    return [
        ("normalized_return", f"normalised return, {over}", normalized["mean"]),
        ("normalized_return_worst_task", f"normalised return of the worst task, {over}", normalized["worst"]),
    ]


def _eval_results(report):
    if report is None or report.get("note"):
        return None
    side = report["evaluation_set"].replace("_", "-")
    return [
        EvalResult(
            task_type="reinforcement-learning",
            task_name="in-context reinforcement learning",
            dataset_type=report["env_id"],
            dataset_name=f"{report['env_id']}, {len(report['tasks'])} {side} tasks",
            dataset_args=report["env_kwargs"],
            metric_type=metric,
            metric_name=name,
            metric_value=round(value, 4),
        )
        for metric, name, value in _results(report)
    ]


def _write_eval_results(folder, report):
    """Write the leaderboard entry, if the report is for one, and remove ours of earlier reports."""
    folder = folder / ".eval_results"
    path = None
    if report is not None and _is_for_leaderboards(report):
        # It becomes the name of a file.
        family = re.sub(r"\W+", "_", report.get("family") or report["env_id"])
        path = folder / f"{family}.yaml"
        with atomic_file(path) as file:
            entries = eval_result_entries_to_yaml([_leaderboard_entry(report, family)])
            yaml.safe_dump(entries, file, sort_keys=False, allow_unicode=True)
    for old in folder.glob("*.yaml"):
        if old != path and _is_our_entry(old):
            old.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _is_for_leaderboards(report):
    # About tasks that no choice was made on, on a scale that makes environments comparable, and meant to be believed.
    told = report["normalized_return"] is not None and not report.get("note")
    return told and report["evaluation_set"] == "held_out"


def _leaderboard_entry(report, family):
    _, name, value = _results(report)[0]
    notes = (
        f"{name}; {len(report['tasks'])} held-out tasks, {report['seeds']} seeds, "
        f"worst task {report['normalized_return']['worst']:.3f}; {json.dumps(report['env_kwargs'])}"
    )
    return EvalResultEntry(dataset_id=BENCHMARK, task_id=family, value=round(value, 4), notes=notes)


def _is_our_entry(path):
    try:
        entries = parse_yaml(read_text(path, MAX_YAML_BYTES), path)
        return bool(entries) and all(entry["dataset"]["id"] == BENCHMARK for entry in entries)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _hub_id(name):
    """`name` if it has the form of a Hub id and is no local folder."""
    if name and re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(name).exists():
        return name
    return None

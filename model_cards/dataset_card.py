"""Write a learning-history dataset's README.md."""

from pathlib import Path

from huggingface_hub import DatasetCardData

from hf_icrl.files import atomic_file, read_json
from hf_icrl.histories import describe_histories
from hf_icrl.histories.info import CURVE_FILENAME
from hf_icrl.histories.info_checks import check_complete, check_entries
from hf_icrl.histories.schema import ACTION_SETS, OPTIONAL_COLUMNS
from hf_icrl.model_cards.openings import episodes_text, lesson, opening
from hf_icrl.model_cards.ours import CARD_FILE, check_dataset_card_place
from hf_icrl.model_cards.rendering import render
from hf_icrl.model_cards.snippets import dataset_snippet, mixture_snippet
from hf_icrl.rollouts.report import REPLAY_FILE

# What the Hub calls the sizes, by the number of rows that they end at.
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
    (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"),
    (10**12, "100B<n<1T"),
)
# The rows of `describe_histories` that the card shows; the others it says in its own words.
_FACTS = ("actions of a task", "histories", "transitions", "mean return", "mean reward x horizon", "at the end")
# Longer task lists are left to history_info.json.
_TASKS_SHOWN = 40


def write_dataset_card(folder, info, *, dataset_id=None, license="apache-2.0"):
    """Write `README.md` into a folder of learning histories.

    Args:
        folder (`str` or `Path`): the dataset's folder; its data files are looked up for the card's metadata, so that,
            on the Hub, `load_dataset` and the viewer find them.
        info (`dict`): the content of its `history_info.json`.
        dataset_id (`str`, *optional*): the Hub id that the snippet loads; by default it loads `folder` as given.
        license (`str`): an identifier that the Hub knows.

    Returns:
        `Path` of the README.md.

    Raises:
        ValueError: `info` lacks an entry, or there is a README.md that is no dataset card of ours.
    """
    check_dataset_card_place(folder)
    folder = Path(folder)
    check_entries(info, f"the info of {folder}")
    check_complete(info, f"the info of {folder}")
    if "mixture" in info:
        return _write_mixture_card(folder, info, dataset_id, license)
    where = info["env_id"].rpartition("/")[2]
    title = f"Learning histories of {where} ({info['source']['name']})"
    rows = info["num_histories"] * info["episodes"]
    columns = _optional_columns(folder)
    number = info["action_space"]["n"] if ACTION_SETS in columns else None
    text = render(
        "dataset_card",
        metadata=_metadata(title, rows, license, _configs(folder)),
        title=title,
        info=info,
        opening=opening(info["source"]),
        lesson=lesson(info),
        episodes=episodes_text(info),
        # What is None has no effect.
        arguments={name: value for name, value in info["env_kwargs"].items() if value is not None},
        columns=columns,
        tasks={name: tasks for name, tasks in info["tasks"].items() if tasks},
        shown=_TASKS_SHOWN,
        facts=[row for row in describe_histories(folder, info) if row[0] in _FACTS],
        picture=CURVE_FILENAME if (folder / CURVE_FILENAME).is_file() else None,
        replay=REPLAY_FILE if (folder / REPLAY_FILE).is_file() else None,
        snippet=dataset_snippet(
            dataset_id or folder,
            _window_length(info),
            on_hub=dataset_id is not None,
            num_actions=number,
            family=info.get("family"),
            env_kwargs=info["env_kwargs"],
        ),
    )
    return _write(folder, text)


def _write_mixture_card(folder, info, dataset_id, license):
    parts = info["mixture"]
    title = "Learning histories of " + ", ".join(
        dict.fromkeys(f"{part['env_id'].rpartition('/')[2]} ({part['source']['name']})" for part in parts)
    )
    rows = sum(part["num_histories"] * part["episodes"] for part in parts)
    configs = [
        {"config_name": part["name"], "data_files": config[0]["data_files"]}
        for part in parts
        if (config := _configs(folder, part["name"])) is not None
    ]
    told = any(ACTION_SETS in _optional_columns(folder / part["name"]) for part in parts)
    text = render(
        "mixture_card",
        metadata=_metadata(title, rows, license, configs or None),
        title=title,
        info=info,
        total=sum(part["weight"] for part in parts),
        pictures={
            part["name"]: f"{part['name']}/{CURVE_FILENAME}"
            for part in parts
            if (folder / part["name"] / CURVE_FILENAME).is_file()
        },
        snippet=mixture_snippet(
            dataset_id or folder,
            {part["name"]: part["weight"] for part in parts},
            min(_window_length(part) for part in parts),
            on_hub=dataset_id is not None,
            own_actions=[part["action_space"]["n"] for part in parts] if told else None,
        ),
    )
    return _write(folder, text)


def _optional_columns(folder):
    """Which columns the rows have beside those that all have; nothing where `datasets` does not say it."""
    path = folder / "dataset_info.json"
    features = read_json(path, dict).get("features") if path.is_file() else {}
    if not isinstance(features, dict):
        raise ValueError(f"{path} has no mapping of features; it is damaged: collect the histories again")
    return [name for name in OPTIONAL_COLUMNS if name in features]


def _metadata(title, rows, license, configs):
    return DatasetCardData(
        license=license,
        task_categories=["reinforcement-learning"],
        pretty_name=title,
        size_categories=[size_category(rows)],
        tags=["reinforcement-learning", "in-context-reinforcement-learning", "learning-histories", "hf-icrl"],
        configs=configs,
    ).to_yaml()


def size_category(rows):
    """What the Hub calls a dataset of so many rows."""
    return next((name for end, name in _SIZES if rows < end), "n>1T")


def _window_length(info):
    """A length of windows for the snippet, at most the histories' mean length: some history is as long."""
    return max(1, min(200, info["num_transitions"] // max(info["num_histories"], 1)))


def _write(folder, text):
    path = folder / CARD_FILE
    with atomic_file(path) as file:
        file.write(text)
    return path


def _configs(folder, part="."):
    """Which files hold the rows: without this, `load_dataset` and the viewer would also take the JSON files for data."""
    for suffix in ("parquet", "arrow"):
        files = (folder / part).rglob(f"*.{suffix}")
        places = sorted({path.parent.relative_to(folder).as_posix() for path in files})
        if places:
            patterns = [f"*.{suffix}" if place == "." else f"{place}/*.{suffix}" for place in places]
            path = patterns[0] if len(patterns) == 1 else patterns
            return [{"config_name": "default", "data_files": [{"split": "train", "path": path}]}]
    return None

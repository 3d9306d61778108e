"""Say what a folder of learning histories is, from its `history_info.json` alone."""

from hf_icrl.histories.spaces import spec_text


def describe_histories(folder, info):
    """What the histories in `folder` are, for people.

    Args:
        folder (`str` or `Path`): where they are.
        info (`dict`): what `read_info` said.

    Returns:
        `list[tuple[str, str]]`: rows of a name and a value; a name may be empty, where a row goes on.
    """
    source, per_step = info["source"], info["num_bytes"] / info["num_transitions"]
    counts = ", ".join(f"{len(tasks)} {_words(name)}" for name, tasks in info["tasks"].items())
    made_by = f"hf-icrl {info['package_version']}"
    return [
        ("learning histories", str(folder)),
        ("environment", f"{info['env_id']}({_arguments(info['env_kwargs'])})"),
        ("observations, actions", f"{spec_text(info['observation_space'])}, {spec_text(info['action_space'])}"),
        ("source algorithm", f"{source['name']}({_arguments(source['params'])})"),
        ("", source["description"]),
        ("tasks", f"{counts}; collected on {_words(info['collected_on'])}"),
        (
            "histories",
            f"{info['num_histories']:,} ({info['histories_per_task']} a task) of {info['episodes']} episodes, "
            f"seed {info['seed']}",
        ),
        (
            "transitions",
            f"{info['num_transitions']:,} ({info['num_bytes'] / 1e6:,.1f} MB, {per_step:.1f} bytes each)",
        ),
        ("made by", made_by if info["command"] is None else f"{made_by}: {info['command']}"),
    ]


def _words(name):
    return name.replace("_", "-")


def _arguments(kwargs):
    return ", ".join(f"{name}={value!r}" for name, value in kwargs.items())

"""Say what a folder of learning histories is, from its `history_info.json` alone."""

from itertools import pairwise

from hf_icrl.histories.spaces import spec_text

_BLOCKS = "\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


def describe_histories(folder, info):
    """What the histories in `folder` are, for people.

    Args:
        folder (`str` or `Path`): where they are.
        info (`dict`): what `read_info` said.

    Returns:
        `list[tuple[str, str]]`: rows of a name and a value; a name may be empty, where a row goes on.
    """
    if "mixture" in info:
        return _describe_mixture(folder, info)
    source = info["source"]
    counts = ", ".join(f"{len(tasks):,} {_words(name)}" for name, tasks in info["tasks"].items())
    rows = [
        ("learning histories", str(folder)),
        # Of imported histories the environment's arguments are not known.
        ("environment", info["env_id"] + (f"({_arguments(info['env_kwargs'])})" if info["env_kwargs"] else "")),
        ("observations, actions", f"{spec_text(info['observation_space'])}, {spec_text(info['action_space'])}"),
        ("source algorithm", f"{source['name']}({_arguments(source['params'])})"),
        ("", source["description"]),
        ("tasks", f"{counts}; collected on {_words(info['collected_on'])}"),
        *_describe_action_sets(info),
        (
            "histories",
            # Imported histories have no seed, and as many episodes and a task as they have.
            f"{info['num_histories']:,} of up to {info['episodes']:,} episodes"
            if info["seed"] is None
            else f"{info['num_histories']:,} ({info['histories_per_task']} a task) of {info['episodes']:,} "
            f"episode{'s' * (info['episodes'] != 1)}{_pace(info['run'])}, seed {info['seed']}",
        ),
        ("transitions", _transitions(info)),
    ]
    curve = info.get("curve")
    if curve is not None:
        rows += _describe_curve(curve)
    made_by = f"hf-icrl {info['package_version']}"
    return [*rows, ("made by", made_by if info["command"] is None else f"{made_by}: {info['command']}")]


def _describe_mixture(folder, info):
    total = sum(part["weight"] for part in info["mixture"])
    rows = [
        ("mixture of histories", str(folder)),
        ("observations, actions", f"{spec_text(info['observation_space'])}, {spec_text(info['action_space'])}"),
        ("transitions", _transitions(info)),
    ]
    for part in info["mixture"]:
        rows.append(("", ""))
        rows.append(("part", f"{part['name']}: {part['weight'] / total:.0%} of the training windows"))
        rows += describe_histories(f"{folder}/{part['name']}", part)[1:]
    return rows


def _describe_action_sets(info):
    """A row that says how many of the actions a task has, where tasks may lack some."""
    sizes = info.get("actions_per_task")
    if sizes is None:
        return []
    fewest, most = sizes
    number = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    return [("actions of a task", f"{number} of {info['action_space']['n']:,}")]


def _describe_curve(curve):
    """Rows that say how fast the source becomes good."""
    means = curve["mean_return"]
    # Histories of one episode have a curve over its steps, in rewards times the horizon.
    what = "episode" if curve["over"] == "episodes" else "step"
    name = "mean return" if what == "episode" else "mean reward x horizon"
    rows = [(name, f"{means[0]:.2f} {_sparkline(means)} {means[-1]:.2f}, first to last {what}")]
    # Without any task on which the oracle earns more than the random policy nothing is normalised.
    if curve["share_of_oracle"] is not None and curve["final_normalized"] is not None:
        last = curve[f"final_{what}s"]
        rows.append(
            (
                "at the end",
                f"{curve['share_of_oracle']:.1%} of the oracle's return, normalised {curve['final_normalized']:.3f} "
                f"(mean of the last {f'{last:,} {what}s' if last > 1 else what})",
            )
        )
    return rows


def _sparkline(values, width=40):
    """A line of blocks that rises and falls with `values`, thinned to at most `width` of them by averaging neighbours."""
    width = min(width, len(values))
    ends = [i * len(values) // width for i in range(width + 1)]
    bins = [values[a:b] for a, b in pairwise(ends)]
    means = [sum(b) / len(b) for b in bins]
    low, high = min(means), max(means)
    return "".join(_BLOCKS[round((m - low) / (high - low) * (len(_BLOCKS) - 1)) if high > low else 0] for m in means)


def _pace(run):
    """How the episodes were chosen from those of a run, where not all were kept."""
    if run["subsample"] == 1 and run["skip"] == 0 and run["keep"] is None:
        return ""
    parts = [
        f"every {_ordinal(run['subsample'])}" if run["subsample"] > 1 else "",
        f"from number {run['skip'] + 1} on",
    ]
    kept = " ".join(part for part in parts if part)
    return f" ({kept} of runs of {run['episodes']:,})"


def _ordinal(number):
    return {2: "second", 3: "third"}.get(number, f"{number}th")


def _transitions(info):
    per_step = info["num_bytes"] / info["num_transitions"]
    return f"{info['num_transitions']:,} ({info['num_bytes'] / 1e6:,.1f} MB, {per_step:.1f} bytes each)"


def _words(name):
    return name.replace("_", "-")


def _arguments(kwargs):
    # What is None has no effect, so a person need not read it.
    return ", ".join(f"{name}={value!r}" for name, value in kwargs.items() if value is not None)

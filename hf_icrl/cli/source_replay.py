"""The replay video of collected histories: one history at its first, a middle and its last episode."""

import numpy as np

from hf_icrl.files import atomic_file

# Every episode is played again, so a long history would take long.
_MOST_STEPS = 50_000
# Among so many histories the typical one is looked for.
_CANDIDATES = 64


def write_source_replay(collection):
    """Write `replay.mp4` into a collection's folder, unless it is there or its histories cannot be drawn or are long.

    The history that is shown is the median one, by the return of its last episode, of the first 64.

    Args:
        collection (`Collection`): histories of one of our families.
    """
    from hf_icrl.rollouts.replay import Replay
    from hf_icrl.rollouts.report import REPLAY_FILE
    from hf_icrl.sources.recording import environment_seeds
    from hf_icrl.tasks import task_family

    info, path = collection.info, collection.path / REPLAY_FILE
    if path.is_file():
        return
    rows = collection.dataset.select(range(min(len(collection.dataset), _CANDIDATES * info["episodes"])))
    history_ids, first = np.unique(rows.data["history_id"].to_numpy(), return_index=True)
    until = np.append(first[1:], len(rows))
    # Of the other histories only the last episode is read: they may be long.
    last_returns = [sum(rewards) for rewards in rows.select(until - 1)["rewards"]]
    chosen = np.argsort(last_returns, kind="stable")[(len(until) - 1) // 2]
    history = rows.select(range(first[chosen], until[chosen]))
    rewards = history["rewards"][:]
    lengths = np.array([len(r) for r in rewards])
    if lengths.sum() > _MOST_STEPS:
        return
    replay = Replay(
        family=task_family(info["family"], **info["env_kwargs"]),
        task=history["task"][0],
        seed=environment_seeds(info["seed"], history_ids[chosen : chosen + 1])[0],
        actions=np.concatenate([np.asarray(actions) for actions in history["actions"]]),
        returns=np.array([sum(r) for r in rewards]),
        lengths=lengths,
        note=info["source"]["name"],
        whole=info["run"]["subsample"] == 1 and info["run"]["skip"] == 0,
    )
    video = replay.video()
    if video is not None:
        with atomic_file(path, "wb") as file:
            file.write(video)

"""`rollout`: a model acts in environments, episode after episode, in one context per row."""

from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from hf_icrl.envs.vector import told_info, true_info
from hf_icrl.naming import check_names
from hf_icrl.rollouts.acting_state import ActingState, save_state
from hf_icrl.rollouts.checks import check_envs
from hf_icrl.rollouts.episodes import cut_episodes, left_aligned
from hf_icrl.rollouts.given_history import given_history
from hf_icrl.rollouts.show import curve_html, rollout_text
from hf_icrl.seeding import derived_seed

__all__ = ["Rollout", "environment_seed", "rollout"]


_RECORDABLE = ("observations", "actions", "entropies")


@dataclass(frozen=True, eq=False, repr=False)
class Rollout:
    """What a model did: one row per environment, one column per episode.

    Attributes:
        returns (`np.ndarray` of shape (rows, episodes)): undiscounted return of each episode, float64.
        lengths (`np.ndarray` of shape (rows, episodes)): number of steps of each episode.
        regrets (`np.ndarray` of shape (rows, T) or `None`): where the environments tell it (`info["regret"]`; bandits
            do), the expected regret of each step of these episodes, row by row, zeros beyond a row's last one.
        state (`ActingState`): pass it to `rollout(..., state=...)` to go on where this rollout ended.
        history (`dict[str, np.ndarray]` or `None`): with `record`, what was seen and done, row by row:
            `observations` (rows, T, ...) before each action, `actions` (rows, T, ...), `rewards` (rows, T) float32,
            `dones` (rows, T) bool, `entropies` (rows, T), in nats, of the distributions that the actions were drawn from
            (NaN for Box), and `lengths` (rows,): how many of a row's T steps are real, the rest is zeros.
            `rollout(..., history=this)` begins a new rollout with it as the context.
    """

    returns: np.ndarray
    lengths: np.ndarray
    state: ActingState
    history: dict | None = None
    regrets: np.ndarray | None = None

    def save_state(self, folder):
        """Write the state to `folder/rollout_state.safetensors`; `load_state(folder, model)` reads it back.

        Environments are not saved. A row that stands in the middle of an episode (which happens only when episodes
        differ in length) has that episode cut off when it goes on in new environments: the model is told that the
        episode ended, and it counts in no return.
        """
        save_state(self.state, folder)

    def __repr__(self):
        return rollout_text(self.returns)

    def _repr_html_(self):
        return curve_html(self.returns, repr(self))


def rollout(
    model,
    envs,
    num_episodes,
    *,
    seed=None,
    row_ids=None,
    state=None,
    history=None,
    temperature=None,
    overflow=None,
    refill_keep=None,
    record=False,
    progress=False,
):
    """Let a model act until every row has finished `num_episodes` episodes, its weights unchanged.

    Row i acts in slot i of `envs`. Its episodes follow each other in one context, which is where improvement comes
    from. What a row does depends only on the model, its environment and `(seed, row id)`, not on its neighbours:
    when episodes differ in length, a row that is done early acts on until the last one is done, and what it does
    meanwhile is kept in the state and counted first if the rollout is continued.

    Args:
        model: a model with `init_rollout`, `act` (and `observe`, if `history` is given).
        envs (`gymnasium.vector.VectorEnv`): with same-step autoreset and the spaces of the model; see
            `family.make_vec(tasks)`. Of Discrete actions only those are drawn that `info["action_mask"]` allows, where
            the environments give it (bandits do). It is reset, unless it is the very object that `state` was acting in.
        num_episodes (`int`): at least 1.
        seed (`int`, *optional*, defaults to 0): drives the model's sampling and the environments.
        row_ids (sequence of `int`, *optional*): the names of the rows' random streams, 0, 1, 2, ... by default.
        state (`ActingState`, *optional*): go on where an earlier rollout ended (`Rollout.state` or `load_state`).
            Do not reset or step `envs` in between. Seed, row ids and how actions are drawn are the state's.
        history (*optional*): a learning history per row to begin with, as rows of a dataset (each history a
            contiguous run of episodes, one history per environment) or as the arrays of `Rollout.history`. An
            episode that is unfinished there counts as ended, because the environments begin a new one.
        temperature, overflow, refill_keep (*optional*): override the model's config, see `model.init_rollout`.
        record (`bool` or names): keep what was seen and done in `Rollout.history`; names out of "observations",
            "actions" and "entropies" keep only these (rewards and dones are there in any case).
        progress (`bool`): show a progress bar if there is a terminal.

    Returns:
        [`Rollout`]

    Raises:
        TypeError: `envs` is no vector environment.
        ValueError: the spaces differ, the autoreset mode is another one, arguments contradict each other, or a `state` is
            to go on in environments with other actions than it was told of (`state.model.set_available_actions`).

    Example:
        >>> family = hf_icrl.task_family("dark_room", size=9)
        >>> train, held_out = family.split(seed=0)
        >>> first = hf_icrl.rollout(model, family.make_vec(held_out), num_episodes=20)
        >>> more = hf_icrl.rollout(model, first.state.envs, num_episodes=20, state=first.state)
    """
    check_envs(envs, model.config)
    record = _RECORDABLE if record is True else tuple(record or ())
    check_names(record, _RECORDABLE, "name to record")
    if num_episodes < 1:
        raise ValueError(f"num_episodes is {num_episodes}; it must be at least 1")
    if state is None:
        drawing = {"temperature": temperature, "overflow": overflow, "refill_keep": refill_keep}
        state = _begin(model, envs, 0 if seed is None else seed, row_ids, history, drawing)
    else:
        given = {
            "seed": seed,
            "row_ids": row_ids,
            "history": history,
            "temperature": temperature,
            "overflow": overflow,
            "refill_keep": refill_keep,
        }
        _check_continuation(state, envs, given, record)
    return _act(model, envs, num_episodes, state, record, progress)


def environment_seed(seed, row_id, episode):
    """The seed with which a row's environment slot is reset before its episode number `episode` (from 0).

    Only the first episode after an explicit reset has one; in the episodes that follow by autoreset the slot's own
    random stream runs on.
    """
    return derived_seed(seed, "environment", row_id, episode)


def _begin(model, envs, seed, row_ids, history, drawing):
    rows = envs.num_envs
    row_ids = np.arange(rows) if row_ids is None else np.asarray(row_ids, np.int64)
    if row_ids.shape != (rows,):
        raise ValueError(f"row_ids has shape {row_ids.shape}, but there are {rows} environments: give one id each")
    if getattr(model.config, "reads_action_sets", False):
        # Such a model acts with as many actions as there are here; which of them each row has follows with the reset.
        drawing["available_actions"] = np.ones((rows, int(envs.single_action_space.n)), bool)
    model_state = model.init_rollout(rows, seed=seed, row_ids=row_ids, **drawing)
    state = ActingState(model=model_state, seed=int(seed), row_ids=row_ids, episodes_begun=np.zeros(rows, np.int64))
    if history is not None:
        arrays, lengths = given_history(history, rows, model.config)
        for length in np.unique(lengths[lengths > 0]):
            chosen = np.flatnonzero(lengths == length)
            model.observe(model_state, **{k: v[chosen, :length] for k, v in arrays.items()}, rows=chosen)
        state.rewards = arrays["rewards"][np.arange(rows), np.maximum(lengths - 1, 0)]
        # A history that stops in mid-episode cannot go on in a fresh environment: that episode is over. (A row whose
        # history is empty begins one now; the model does not read its values.)
        state.dones = np.ones(rows, bool)
    return state


def _check_continuation(state, envs, given, record):
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name}={value!r} was given together with state=, which has its own: leave it out")
    if len(state.row_ids) != envs.num_envs:
        raise ValueError(f"the state has {len(state.row_ids)} rows, but envs has {envs.num_envs} environments")
    if state.ahead_rewards.size and any(getattr(state, f"ahead_{name}") is None for name in record):
        raise ValueError(
            f"record={record!r}, but the rollout that is continued did not record that of the steps that some rows "
            "are ahead: record from the beginning, or not at all"
        )


def _act(model, envs, num_episodes, state, record, progress):
    if envs is not state.envs:
        seeds = [environment_seed(state.seed, i, n) for i, n in zip(state.row_ids, state.episodes_begun, strict=True)]
        observations, infos = envs.reset(seed=seeds)
        _tell_actions(state, envs, infos, goes_on=bool((state.episodes_begun > 0).any()))
        state.leave_environments()
        state.observations = observations
        state.envs = envs
        state.episodes_begun = state.episodes_begun + 1

    steps = {name: [] for name in ("rewards", "dones", *record)}
    finished = state.ahead_dones.sum(axis=1)
    with tqdm(total=num_episodes, desc="acting", unit="episode", disable=None if progress else True) as bar:
        while (least := int(finished.min())) < num_episodes:
            bar.update(least - bar.n)
            told = () if state.dones is None else (state.rewards, state.dones)
            actions = model.act(state.model, state.observations, *told)
            # Environments and models may hand out their own buffers: what is kept is copied.
            if "observations" in steps:
                steps["observations"].append(np.array(state.observations))
            if "actions" in steps:
                steps["actions"].append(np.array(actions))
            if "entropies" in steps:
                steps["entropies"].append(np.array(state.model.entropies))
            state.observations, rewards, terminations, truncations, infos = envs.step(actions)
            _tell_actions(state, envs, infos)
            if "regret" in infos:
                steps.setdefault("regrets", []).append(true_info(infos, "regret"))
            state.rewards, state.dones = np.array(rewards), terminations | truncations
            steps["rewards"].append(state.rewards)
            steps["dones"].append(state.dones)
            finished = finished + state.dones
            state.episodes_begun = state.episodes_begun + state.dones
        bar.update(num_episodes - bar.n)

    stream = _join(state, {name: np.stack(values, axis=1) for name, values in steps.items() if values})
    starts = stream["rewards"].shape[1] - len(steps["rewards"]) - state.ahead_counts
    returns, lengths, ends = cut_episodes(stream["rewards"], stream["dones"], starts, num_episodes)
    state.keep_ahead(stream, ends)
    regrets = left_aligned(stream["regrets"], starts, ends) if stream.get("regrets") is not None else None
    history = None
    if record:
        history = {name: left_aligned(stream[name], starts, ends) for name in ("rewards", "dones", *record)}
        history["rewards"] = history["rewards"].astype(np.float32)
        history["lengths"] = ends - starts
    return Rollout(returns, lengths, state, history, regrets)


def _tell_actions(state, envs, infos, goes_on=False):
    """Tell the model which of its actions each environment has now, unless it knows.

    Raises:
        ValueError: with `goes_on`, the environments have other actions than the model was told of.
    """
    model_state = state.model
    if model_state.action_space.kind != "Discrete":
        return
    number, own = model_state.action_space.sizes[0], int(envs.single_action_space.n)
    if own > number:
        raise ValueError(
            f"these environments have {own} actions, the rollout that goes on in them began with {number}: how many "
            "there will ever be is fixed then, so begin a new rollout, with history= what was seen before"
        )
    known = model_state.available_actions
    # Environments that tell nothing have all their actions, or those that the caller has announced.
    before = np.ones((envs.num_envs, own), bool) if known is None else known[:, :own]
    mask = told_info(infos, "action_mask", before).astype(bool)
    # A model of padded spaces has more actions than these environments.
    mask = np.pad(mask, [(0, 0), (0, number - own)])
    same = mask.all() if known is None else np.array_equal(known, mask)
    if same:
        return
    if goes_on:
        had = np.ones_like(mask) if known is None else known
        row = int(np.flatnonzero((mask != had).any(axis=1))[0])
        raise ValueError(
            f"row {row} has {int(mask[row].sum())} actions in these environments, and had "
            f"{int(had[row].sum())} or others before: announce it with "
            "state.model.set_available_actions(mask) before the rollout goes on"
        )
    model_state.set_available_actions(mask)


def _join(state, new):
    """The steps that rows were ahead already (right-aligned, so that each row's stream is contiguous) and the new."""
    ahead = state.ahead_right_aligned()
    if not new:
        return ahead
    return {
        name: np.concatenate([ahead[name], values], axis=1) if ahead.get(name) is not None else values
        for name, values in new.items()
    }

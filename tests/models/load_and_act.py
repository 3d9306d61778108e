"""Load checkpoints as a user does, and let them act in a loop with an environment. Run by test_load_anywhere.py:

    python load_and_act.py imported|remote OUTPUT.json FOLDER...

`imported`: after `import hf_icrl`, without any flag. `remote`: where there is no hf_icrl, with trust_remote_code=True.
Needs nothing else of this repository. OUTPUT.json maps each folder's name to what was seen, or to {"error": ...}.
"""

import importlib.util
import json
import sys
import traceback
from pathlib import Path

import numpy as np

ROWS, STEPS, EPISODE = 3, 20, 5


class Wheel:
    """A small world of n places in each row: an action moves on, the way there depends on the row, every fifth step ends
    the episode, and one action is paid at each place. Like a gymnasium vector environment with same-step autoreset."""

    def __init__(self, places):
        self.places, self.rows = places, np.arange(ROWS)

    def reset(self):
        self.time, self.place = 0, self.rows % self.places
        return self.place

    def step(self, actions):
        rewards = (actions == self.place % 4).astype(np.float64)
        self.time, self.place = self.time + 1, (3 * self.place + actions + self.rows + 1) % self.places
        ends = np.full(ROWS, self.time % EPISODE == 0)
        self.place = np.where(ends, self.rows % self.places, self.place)
        return self.place, rewards, ends


def act_in_a_loop(model):
    """The actions of a rollout, (rows, steps), as lists: past a full context; where a model reads action sets, with more
    actions than it was trained on, and later with others."""
    world, actions, options, later = Wheel(model.observation_space.sizes[0]), [], {}, None
    if model.config.reads_action_sets:
        rng = np.random.default_rng(0)
        first, later = rng.random((2, ROWS, model.action_space.sizes[0] + 3)) < 0.5
        first[:, 0] = later[:, 1] = True
        options["available_actions"] = first
    state = model.init_rollout(ROWS, seed=5, **options)
    actions.append(model.act(state, world.reset()))
    for t in range(1, STEPS):
        if t == STEPS // 2 and later is not None:
            state.set_available_actions(later)
        actions.append(model.act(state, *world.step(actions[-1])))
    return np.stack(actions, axis=1).tolist()


def imported(folder):
    """Load and act after `import hf_icrl`."""
    from transformers import AutoConfig, AutoModel

    import hf_icrl  # noqa: F401

    config, model = AutoConfig.from_pretrained(folder), AutoModel.from_pretrained(folder)
    return {"modules": [type(config).__module__, type(model).__module__], "actions": act_in_a_loop(model)}


def remote(folder):
    """Load and act by the checkpoint's own code, save it again, and act once more."""
    assert importlib.util.find_spec("hf_icrl") is None, "hf_icrl must be out of reach here"
    from transformers import AutoConfig, AutoModel

    before = {name for name in sys.modules if name.startswith("transformers_modules.")}
    try:
        AutoModel.from_pretrained(folder, trust_remote_code=False)
        refusal = None
    except ValueError as error:
        refusal = str(error)
    executed = {name for name in sys.modules if name.startswith("transformers_modules.")} - before
    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    model.save_pretrained(folder / "again")
    again = AutoModel.from_pretrained(folder / "again", trust_remote_code=True)
    return {
        "refusal": refusal,
        "executed_without_trust": sorted(executed),
        "modules": [type(config).__module__, type(model).__module__],
        "actions": act_in_a_loop(model),
        "actions_again": act_in_a_loop(again),
        "made_by": model.config.hf_icrl_version,
    }


def main(way, output, *folders):
    results = {"prefix": sys.prefix}
    for folder in map(Path, folders):
        try:
            results[folder.name] = {"imported": imported, "remote": remote}[way](folder)
        except Exception:
            results[folder.name] = {"error": traceback.format_exc()}
    Path(output).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])

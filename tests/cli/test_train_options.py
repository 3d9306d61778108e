"""What the model and the loss of a recipe ask of the training windows, `hf-icrl train` gives them."""

import json

from tests_support import hf_icrl

CONFIG = ("--config", "quickstart_smoke")
OPTIONS = (
    "--model.position_embedding=env_time",
    "--model.reward_embedding=table",
    "--model.reward_values=[0, 1]",
    "--model.label_smoothing=0.1",
    "--train.loss_weighting=improvement",
    "--train.max_steps=5",
)


def test_times_and_weights_reach_the_model(finished, tmp_path):
    folder, _ = finished
    arguments = ("train", *CONFIG, "--dataset", folder / "dataset", "--output_dir", tmp_path, *OPTIONS)
    refused = hf_icrl(*arguments)
    assert refused.returncode == 1
    assert "position_embedding='env_time' has one vector for each time" in refused.stderr
    done = hf_icrl(*arguments, "--model.episode_length=20")
    # The validation tasks are rolled out at the end, in episodes of 20 steps.
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["position_embedding"], config["episode_length"], config["reward_values"]) == (
        "env_time",
        20,
        [0, 1],
    )

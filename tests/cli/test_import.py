"""`hf-icrl import` through the real command line."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests_support import hf_icrl

from hf_icrl.histories import load_histories

STEPS = {
    "x": [0.0, 1.0, 2.0, 3.0],
    "x2": [1.0, 9.0, 3.0, 4.0],
    "a": [0, 2, 1, 0],
    "r": [0.0, 1.0, 0.0, 2.0],
    "done": [False, True, False, True],
}
COLUMNS = ("--columns", "observations=x", "next_observations=x2", "actions=a", "rewards=r", "terminated=done")


@pytest.fixture
def logs(tmp_path):
    pq.write_table(pa.table(STEPS), tmp_path / "logs.parquet")
    return tmp_path / "logs.parquet"


def test_parquet_becomes_histories_with_a_card_and_describes_itself(logs, tmp_path):
    out = tmp_path / "out"
    spaces = ("--action_space", "{type: Discrete, n: 4}", "--env_id", "my/Robot-v0")
    result = hf_icrl("import", "parquet", logs, "--output_dir", out, *COLUMNS, *spaces)
    assert result.returncode == 0, result.stderr
    assert "observation_space is inferred from the values as Box" in result.stderr
    assert "imported 1 histories of up to 2 episodes, 4 transitions" in result.stdout
    dataset, info = load_histories(out)
    assert info["action_space"] == {"type": "Discrete", "n": 4}
    assert info["command"].startswith("hf-icrl import parquet ")
    assert dataset["rewards"][:] == [[0.0, 1.0], [0.0, 2.0]]
    card = (out / "README.md").read_text()
    assert "license: unknown" in card
    assert "my/Robot-v0" in card
    assert "None" not in card
    assert (out / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    result = hf_icrl("describe", out)
    assert result.returncode == 0, result.stderr
    assert "None" not in result.stdout
    assert "my/Robot-v0" in result.stdout
    # The same command again does not touch what is there.
    result = hf_icrl("import", "parquet", logs, "--output_dir", out, *COLUMNS)
    assert result.returncode == 1
    assert "is not empty; nothing was changed" in result.stderr


def test_minari_becomes_histories(tmp_path):
    import minari
    from gymnasium import spaces
    from minari.data_collector.episode_buffer import EpisodeBuffer

    env = {"MINARI_DATASETS_PATH": str(tmp_path / "minari")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", env["MINARI_DATASETS_PATH"])
        minari.create_dataset_from_buffers(
            "line/walk-v0",
            [
                EpisodeBuffer(
                    id=k,
                    observations=[0, 1, 2],
                    actions=[1, 1],
                    rewards=[0.0, float(k)],
                    terminations=[False, True],
                    truncations=[False, False],
                )
                for k in range(3)
            ],
            observation_space=spaces.Discrete(3),
            action_space=spaces.Discrete(2),
            data_format="hdf5",
            algorithm_name="walk",
            author="tests",
            author_email="tests@localhost",
            code_permalink="none",
        )
    out = tmp_path / "out"
    arguments = ("--output_dir", out, "--episodes_per_history", "2")
    result = hf_icrl("import", "minari", "line/walk-v0", *arguments, env=env)
    assert result.returncode == 0, result.stderr
    dataset, info = load_histories(out)
    assert [(row["history_id"], row["episode"], row["rewards"][-1]) for row in dataset] == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 2),
    ]
    assert info["source"]["params"] == {"datasets": ["line/walk-v0"], "episodes_per_history": 2, "flatten": False}


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["hdf5", "x"], 2, "invalid choice: 'hdf5'"),
        (["minari", "x", "--columns", "a=b"], 2, "--columns is an option of the format parquet, not of minari"),
        (["parquet", "x", "--flatten"], 2, "--flatten is an option of the format minari, not of parquet"),
        (["parquet", "x", "--columns", "observations"], 2, "--columns observations: write NAME=COLUMN"),
        (["parquet", "x", "--action_space", "4"], 2, "--action_space: '4' is no space"),
        (["parquet", "x", "--action_space", "{"], 2, "is not valid YAML"),
        (["parquet", "x"], 1, "x is no parquet file and no folder that holds one"),
        (["minari", "no/such-v0"], 1, "no/such-v0 is neither a folder of a Minari dataset nor the id"),
        (["parquet", "logs.parquet", *COLUMNS[:2]], 1, "nothing says which column of logs.parquet holds the actions"),
    ],
)
def test_a_mistake_is_one_clear_sentence_and_leaves_nothing(args, code, message, logs, tmp_path, tmp_path_factory):
    env = {"MINARI_DATASETS_PATH": str(tmp_path_factory.mktemp("minari"))}
    result = hf_icrl("import", *args, "--output_dir", "out", cwd=tmp_path, env=env)
    assert result.returncode == code, result.stderr
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["logs.parquet"]


RECIPE = """
model:
  method: algorithm_distillation
  context_length: 4
  trunk_config: {hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1, num_attention_heads: 2}
train: {max_steps: 2, per_device_train_batch_size: 2, eval_episodes: 1, eval_seeds: 1}
"""
ROOM = "environment: {family: dark_room, kwargs: {size: 2, horizon: 2}, held_out: 1, validation: 1}\n"


def test_imported_histories_are_trained_on(logs, tmp_path):
    columns = {"cell": [0, 1, 2, 3], "next": [1, 1, 3, 2], "ep": [0, 0, 1, 1]}
    table = pa.table({**columns, "a": STEPS["a"], "r": STEPS["r"], "done": STEPS["done"]})
    pq.write_table(table, logs)
    data = tmp_path / "data"
    names = ("observations=cell", "next_observations=next", "actions=a", "rewards=r", "terminated=done", "episode=ep")
    spaces = ("--observation_space", "{type: Discrete, n: 4}", "--action_space", "{type: Discrete, n: 5}")
    done = hf_icrl("import", "parquet", logs, "--output_dir", data, "--columns", *names, *spaces)
    assert done.returncode == 0, done.stderr

    def train(text, out):
        (tmp_path / "recipe.yaml").write_text(text)
        return hf_icrl(
            "train", "--config", tmp_path / "recipe.yaml", "--dataset", data, "--output_dir", tmp_path / out
        )

    done = train(RECIPE, "anywhere")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "anywhere" / "model" / "README.md").is_file()
    done = train(ROOM + RECIPE, "room")
    assert done.returncode == 0, done.stderr
    assert "on the validation tasks: normalised return" in done.stdout
    done = hf_icrl(
        "evaluate", "--model", tmp_path / "room" / "model", "--evaluate.episodes=1", "--output_dir", tmp_path
    )
    assert done.returncode == 0, done.stderr
    collect = "collect: {source: q_learning, histories_per_task: 1, episodes: 1}\n"
    for text, message in (
        (ROOM + collect + RECIPE, "was imported, and the section collect"),
        (ROOM.replace("size: 2", "size: 3") + RECIPE, "Discrete(n=4), but hf_icrl/DarkRoom-v0"),
    ):
        done = train(text, "refused")
        assert done.returncode == 1
        assert message in done.stderr

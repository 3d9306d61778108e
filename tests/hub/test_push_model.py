"""`hf-icrl push` and `push_to_hub` of models: one commit that holds all of it, from a real server back to an acting agent."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, snapshot_download
from transformers import AutoModel

from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel, evaluate, push, task_family
from hf_icrl.cli.main import main
from hf_icrl.model_cards import write_model_card
from hf_icrl.pushing import PushConflict, PushFailed

RECIPE = {"environment": {"family": "dark_room", "kwargs": {"size": 4, "horizon": 6}, "split_seed": 0}}
REPO = "alice/dark-room-ad"


def make_model(seed=0):
    config = AlgorithmDistillationConfig(
        observation_space={"type": "Discrete", "n": 16},
        action_space={"type": "Discrete", "n": 5},
        context_length=20,
        trunk_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AlgorithmDistillationModel(config)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A model's folder as `hf-icrl train` and `evaluate` leave it."""
    folder = tmp_path_factory.mktemp("push") / "model"
    family = task_family("dark_room", size=4, horizon=6)
    make_model().save_pretrained(folder)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    report = evaluate(folder, family, family.split()[1], seeds=2, episodes=6, command="hf-icrl evaluate --model model")
    report.save(folder)
    write_model_card(folder, report=report, recipe=RECIPE)
    return folder


@pytest.fixture
def model_folder(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "model")


@pytest.fixture
def alice(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.token("alice"))
    return hub


def test_one_commit_holds_everything_and_the_hub_gives_it_back(alice, model_folder, tmp_path, capsys):
    (model_folder / "training_args.bin").write_bytes(b"a pickle")
    (model_folder / "checkpoint-10").mkdir()
    (model_folder / "checkpoint-10" / "model.safetensors").write_bytes(b"not for the Hub")
    (model_folder / ".secret").write_text("not for the Hub")
    assert main(["push", str(model_folder), "--repo_id", REPO, "--dataset_id", "alice/rooms", "--tag", "v1"]) == 0
    out = capsys.readouterr().out
    assert "not published, since reading a pickle may run code: training_args.bin" in out
    assert re.search(rf"pushed .* to http://127\.0\.0\.1:\d+/{REPO} \(commit [0-9a-f]{{8}}\)", out)

    repository = alice.repository(REPO)
    local = {p.relative_to(model_folder).as_posix() for p in model_folder.rglob("*") if p.is_file()}
    local -= {"training_args.bin", "checkpoint-10/model.safetensors", ".secret"}
    assert set(repository.paths()) - {".gitattributes"} == local
    for name in local - {"README.md"}:
        assert repository.read(name) == (model_folder / name).read_bytes(), name
    assert {
        "model.safetensors",
        "config.json",
        "recipe.yaml",
        "report.json",
        "learning_curve.png",
        "replay.mp4",
    } < local
    # The commit that made the repository, and ours.
    assert len(alice.log.find("POST", "/commit/")) == 1

    card = ModelCard(repository.read("README.md").decode())
    assert card.data.datasets == ["alice/rooms"]
    assert card.data.library_name == "hf-icrl"
    assert card.data.eval_results == ModelCard.load(model_folder / "README.md").data.eval_results
    assert f'AutoModel.from_pretrained("{REPO}")' in card.text
    assert str(model_folder) not in card.text

    done = alice.run_python(
        "\n".join(re.findall(r"^```python\n(.*?)^```", card.text, flags=re.MULTILINE | re.DOTALL)),
        home=tmp_path / "another_machine",
        PYTHONPATH=os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()])),
    )
    assert "mean return" in done.stdout
    assert alice.repository(REPO).read("config.json", "v1") == (model_folder / "config.json").read_bytes()


def test_what_was_pushed_is_evaluated_by_its_id_on_the_tasks_of_its_recipe(alice, model_folder, tmp_path, capsys):
    push(model_folder, REPO)
    arguments = ["evaluate", "--model", REPO, "--output_dir", str(tmp_path / "again")]
    assert main([*arguments, "--evaluate.episodes=6", "--evaluate.seeds=2", "--evaluate.last_episodes=5"]) == 0
    first, again = (json.loads((folder / "report.json").read_text()) for folder in (model_folder, tmp_path / "again"))
    assert again["returns"] == first["returns"]
    assert again["model"] == REPO


def test_a_second_push_replaces_what_belongs_to_the_model_and_leaves_the_rest(alice, model_folder):
    first = push(model_folder, REPO).oid
    repository = alice.repository(REPO)
    repository.write({"notes/mine.md": b"of somebody", "model-00001-of-00002.safetensors": b"old shard"})
    (model_folder / "replay.mp4").unlink()
    make_model(seed=1).save_pretrained(model_folder)
    push(model_folder, REPO, commit_message="Better weights")
    assert repository.commit_at("main").title == "Better weights"
    assert repository.read("notes/mine.md") == b"of somebody"
    assert not {"model-00001-of-00002.safetensors", "replay.mp4"} & set(repository.paths())
    old, new = (AutoModel.from_pretrained(REPO, revision=revision) for revision in (first, "main"))
    for model, seed in ((old, 0), (new, 1)):
        for name, value in make_model(seed).state_dict().items():
            assert torch.equal(model.state_dict()[name], value), name


def test_the_same_again_makes_no_commit(alice, model_folder):
    commit = push(model_folder, REPO).oid
    assert push(model_folder, REPO).oid == commit
    assert len(alice.log.find("POST", "/commit/")) == 1


def test_words_that_somebody_wrote_into_the_card_are_kept(alice, model_folder):
    path = model_folder / "README.md"
    path.write_text(path.read_text() + "\n## My own words\n\nIt likes corners.\n")
    push(model_folder, REPO)
    assert "It likes corners." in alice.repository(REPO).read("README.md").decode()
    assert "It likes corners." in path.read_text()


def test_a_card_is_written_where_there_is_none(alice, tmp_path):
    make_model().save_pretrained(tmp_path / "bare")
    push(tmp_path / "bare", REPO)
    assert "library_name: hf-icrl" in alice.repository(REPO).read("README.md").decode()


# ---- Two writers, private repositories, organisations, branches ----


def test_the_second_of_two_writers_gets_an_error_and_nothing_is_lost(alice, model_folder):
    push(model_folder, REPO)
    repository = alice.repository(REPO)
    before = set(repository.paths())
    make_model(seed=1).save_pretrained(model_folder)
    alice.faults.call(lambda: repository.write({"of_another.txt": b"first"}))
    with pytest.raises(PushConflict, match=rf"somebody else changed {REPO} while this push was under way"):
        push(model_folder, REPO)
    assert set(repository.paths()) == before | {"of_another.txt"}
    push(model_folder, REPO)
    assert repository.read("of_another.txt") == b"first"
    assert repository.read("model.safetensors") == (model_folder / "model.safetensors").read_bytes()


def test_a_private_push_is_private_and_never_goes_to_a_public_repository(alice, model_folder):
    push(model_folder, "alice/secret", private=True)
    token = alice.token("bob")
    with pytest.raises(OSError, match="alice/secret"):
        AutoModel.from_pretrained("alice/secret", token=token)
    AutoModel.from_pretrained("alice/secret", token=alice.token("alice"))
    alice.api("alice").create_repo("alice/open")
    with pytest.raises(ValueError, match="alice/open is public, but the push was to be private: nothing was pushed"):
        push(model_folder, "alice/open", private=True)
    assert set(alice.repository("alice/open").paths()) <= {".gitattributes"}


def test_an_organisation_takes_it_from_those_who_may_write(alice, model_folder, monkeypatch):
    push(model_folder, "lab/agent")
    monkeypatch.setenv("HF_TOKEN", alice.token("bob"))
    make_model(seed=1).save_pretrained(model_folder)
    with pytest.raises(PushFailed, match="nothing was pushed: you may not write to the model lab/agent"):
        push(model_folder, "lab/agent")


def test_a_push_without_a_token_says_how_to_log_in(hub, model_folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(
        PushFailed, match=r"nothing was pushed: the Hub does not know who you are; run `hf auth login`"
    ):
        push(model_folder, REPO)


def test_a_branch_is_made_and_tags_and_commits_are_refused(alice, model_folder):
    commit = push(model_folder, REPO, tag="v1").oid
    make_model(seed=1).save_pretrained(model_folder)
    push(model_folder, REPO, revision="trial")
    repository = alice.repository(REPO)
    weights = (model_folder / "model.safetensors").read_bytes()
    assert repository.read("model.safetensors", "trial") == weights
    assert repository.read("model.safetensors", "main") != weights
    for name, what in (("v1", "tag"), (commit, "commit")):
        with pytest.raises(ValueError, match=f"{name} is a {what} of {REPO}: push to a branch"):
            push(model_folder, REPO, revision=name)


def test_a_tag_that_is_there_is_not_moved(alice, model_folder):
    commit = push(model_folder, REPO, tag="v1").oid
    make_model(seed=1).save_pretrained(model_folder)
    with pytest.raises(ValueError, match="has the tag v1 already: nothing was pushed"):
        push(model_folder, REPO, tag="v1")
    repository = alice.repository(REPO)
    assert repository.commit_at("v1").id == repository.commit_at("main").id == commit
    fault = alice.faults.fail(403, "/tag/", method="POST")
    with pytest.raises(PushFailed, match=r"the commit [0-9a-f]{8} is there, but it got no tag"):
        push(model_folder, REPO, tag="v2")
    assert fault.happened
    check_whole(alice, model_folder)


# ---- Faults ----


def test_an_upload_that_was_cut_goes_on_where_it_was(alice, model_folder):
    fault = alice.faults.cut_upload(after=1000)
    push(model_folder, REPO)
    assert fault.happened
    check_whole(alice, model_folder)


def test_a_push_that_was_killed_leaves_the_repository_as_it_was_and_is_finished_by_the_same_command(
    alice, model_folder
):
    push(model_folder, REPO)
    repository = alice.repository(REPO)
    before = {name: repository.read(name) for name in repository.paths()}
    make_model(seed=1).save_pretrained(model_folder)
    (model_folder / "learning_curve.png").write_bytes(b"another picture" * 9000)
    fault = alice.faults.stall_upload(after=1000, skip=1)
    code = f"import hf_icrl; hf_icrl.push({str(model_folder)!r}, {REPO!r})"
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), os.getcwd()]))
    environment = alice.environment(alice.token("alice"), PYTHONPATH=path)
    pusher = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
    assert fault.reached.wait(120)
    pusher.kill()
    pusher.wait()
    fault.release.set()
    assert {name: repository.read(name) for name in repository.paths()} == before
    arrived = {entry.path for entry in alice.log.find("PUT", "^/lfs/", status=200)}
    push(model_folder, REPO)
    check_whole(alice, model_folder)
    # What had arrived was not sent again.
    uploads = [entry.path for entry in alice.log.find("PUT", "^/lfs/", status=200)]
    assert len(uploads) == len(set(uploads))
    assert arrived < set(uploads)


@pytest.mark.parametrize(("status", "route"), [(503, "/commit/"), (429, "/commit/"), (503, "/api/repos/create")])
def test_a_busy_hub_is_waited_for(alice, model_folder, status, route):
    fault = alice.faults.fail(status, route, method="POST", times=2, retry_after=0)
    push(model_folder, REPO)
    assert fault.happened == 2
    check_whole(alice, model_folder)


def test_a_commit_whose_answer_was_lost_is_neither_lost_nor_made_twice(alice, model_folder):
    fault = alice.faults.lose_reply()
    commit = push(model_folder, REPO)
    assert fault.happened
    check_whole(alice, model_folder)
    repository = alice.repository(REPO)
    assert repository.commit_at("main").id == commit.oid
    assert len([c for c in repository.commit_at("main").history() if c.title == "Push model with hf_icrl"]) == 1


def test_a_hub_that_cannot_be_reached_is_said_so(alice, model_folder, monkeypatch):
    monkeypatch.setattr("hf_icrl.patience.time.sleep", lambda seconds: None)
    alice.faults.fail(503, "/api/", times=1000)
    with pytest.raises(PushFailed, match=r"nothing was pushed.*Run the same again and it goes on where it was"):
        push(model_folder, REPO)


def check_whole(hub, folder):
    snapshot = snapshot_download(REPO, token=hub.token("alice"))
    for name in ("model.safetensors", "config.json", "report.json", "replay.mp4", "recipe.yaml"):
        with open(os.path.join(snapshot, name), "rb") as file:
            assert file.read() == (folder / name).read_bytes(), name


# ---- What is refused ----


def test_a_token_in_a_file_is_never_published(alice, model_folder):
    token = alice.token("alice")
    report = json.loads((model_folder / "report.json").read_text())
    (model_folder / "report.json").write_text(json.dumps(report | {"command": f"hf-icrl --token {token}"}))
    with pytest.raises(ValueError, match=r"report\.json holds an access token.*nothing was pushed") as caught:
        push(model_folder, REPO)
    assert token not in str(caught.value)
    assert not alice.log.find("POST", "/api/repos/create")


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("model.safetensors", "holds no weights: there is no safetensors file in it"),
        ("config.json", "holds neither a model .* nor learning histories"),
    ],
)
def test_half_a_model_is_refused(alice, model_folder, remove, message):
    (model_folder / remove).unlink()
    with pytest.raises(ValueError, match=message):
        push(model_folder, REPO)


def test_a_link_out_of_the_folder_is_not_followed(alice, model_folder, tmp_path):
    (tmp_path / "private.json").write_text("{}")
    (model_folder / "innocent.json").symlink_to(tmp_path / "private.json")
    push(model_folder, REPO)
    assert "innocent.json" not in alice.repository(REPO).paths()


def test_the_wrong_folder_is_named(alice, model_folder, tmp_path, capsys):
    assert main(["push", str(tmp_path / "nowhere"), "--repo_id", REPO]) == 1
    assert f"there is no folder {tmp_path / 'nowhere'}" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"is a run folder; push one of its parts: .*model"):
        push(tmp_path, REPO)
    with pytest.raises(ValueError, match="holds a model, and config_name='x' is for learning histories"):
        push(model_folder, REPO, config_name="x")


def test_actions_are_the_same_after_the_way_over_the_hub(alice, model_folder):
    push(model_folder, REPO)
    observations = np.arange(4)
    local, remote = (AutoModel.from_pretrained(place) for place in (model_folder, REPO))
    actions = [model.act(model.init_rollout(4, seed=3), observations) for model in (local, remote)]
    assert (actions[0] == actions[1]).all()

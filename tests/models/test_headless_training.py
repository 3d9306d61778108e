"""Headless-AD from collected histories to a model that acts: trainers, resuming, adapters, dropout."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModel, Trainer, TrainingArguments

import hf_icrl
from hf_icrl import HeadlessADModel, HistoryWindows, ICRLConfig, ICRLTrainer, rollout, task_family
from hf_icrl.trainers import last_whole_checkpoint

ARMS, HORIZON = 6, 20


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Thompson sampling on bandits of two to six arms."""
    return hf_icrl.collect(
        "bernoulli_bandit",
        "thompson",
        output_dir=tmp_path_factory.mktemp("bandits") / "dataset",
        env_kwargs={"num_arms": ARMS, "horizon": HORIZON},
        population={"num": 30, "min_arms": 2},
        histories_per_task=2,
        episodes=1,
        progress=False,
    )


@pytest.fixture
def windows(collection):
    return HistoryWindows(collection.dataset, length=8, num_windows=4 * 6, num_actions=ARMS)


@pytest.fixture
def make_bandit_model(make_headless):
    return lambda **config: make_headless(
        "gpt2", {"type": "Discrete", "n": 1}, ARMS, **{"initializer_range": 0.1, **config}
    )


def arguments_of(kind, folder, **more):
    return kind(
        output_dir=str(folder),
        max_steps=6,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        save_steps=3,
        logging_steps=1,
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
        **more,
    )


@pytest.mark.parametrize("kind", ["plain", "icrl"])
@pytest.mark.parametrize("draw", ["sequence", "batch"])
def test_trainers_train_and_resume_with_the_same_bits(make_bandit_model, windows, tmp_path, kind, draw):
    trainer_class, arguments_class = (Trainer, TrainingArguments) if kind == "plain" else (ICRLTrainer, ICRLConfig)
    arguments = arguments_of(arguments_class, tmp_path)

    def trainer():
        return trainer_class(model=make_bandit_model(action_draw=draw).train(), args=arguments, train_dataset=windows)

    whole = trainer()
    assert any(type(module) is torch.nn.Dropout and module.p > 0 for module in whole.model.modules())
    start = {name: value.clone() for name, value in whole.model.state_dict().items()}
    whole.train()
    after = whole.model.state_dict()
    assert not [name for name in start if torch.equal(start[name], after[name]) and name.startswith("embedding.l")]
    assert all(np.isfinite(entry["loss"]) for entry in whole.state.log_history if "loss" in entry)
    (tmp_path / "checkpoint-6").rename(tmp_path / "finished")
    resumed = trainer()
    resumed.train(resume_from_checkpoint=last_whole_checkpoint(str(tmp_path), 1))
    assert resumed.state.global_step == 6
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, after[name]), name


def test_windows_without_action_sets_are_refused_with_what_to_do(make_bandit_model, collection, tmp_path):
    windows = HistoryWindows(collection.dataset, length=8, num_windows=24)
    trainer = Trainer(model=make_bandit_model(), args=arguments_of(TrainingArguments, tmp_path), train_dataset=windows)
    with pytest.raises(ValueError, match=r"HistoryWindows\(\.\.\., num_actions=\.\.\.\)"):
        trainer.train()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_lora_adapter_trains_and_reaches_what_it_should(make_bandit_model, windows, tmp_path, checkpointing):
    base = make_bandit_model(initializer_range=0.5).train()
    if checkpointing:
        base.gradient_checkpointing_enable()
        base.enable_input_require_grads()
    lora = LoraConfig(r=4, target_modules=["c_attn"], modules_to_save=["embedding", "head"], fan_in_fan_out=True)
    model = get_peft_model(base, lora)
    arguments = arguments_of(ICRLConfig, tmp_path / "run", label_names=["labels"])
    before = {name: value.clone() for name, value in model.named_parameters() if value.requires_grad}
    assert any("lora_B" in name for name in before)
    assert any("head" in name and "modules_to_save" in name for name in before)
    ICRLTrainer(model=model, args=arguments, train_dataset=windows).train()
    reached = [name for name in before if any(part in name for part in ("lora_", "lift", "projection", "prompt"))]
    assert len(reached) == 2 * 2 + 2 + 2 + 1  # two layers; weight and bias of the lift and of the head; the prompt
    for name in reached:
        assert not torch.equal(model.get_parameter(name), before[name]), name


@pytest.mark.parametrize("loss", [{"action_loss": "mse"}, {"train_temperature": 0.5, "loss_mask": "zero"}])
def test_a_loaded_model_is_the_saved_one(make_bandit_model, windows, tmp_path, loss):
    model = make_bandit_model(action_embedding="normal", action_prompt=False, logit_scale="log_actions", **loss)
    model.save_pretrained(tmp_path)
    batch = {name: torch.as_tensor(value)[None] for name, value in windows[0].items()}
    for loader in (AutoModel, HeadlessADModel):
        loaded = loader.from_pretrained(tmp_path)
        assert type(loaded) is HeadlessADModel
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)
        assert torch.equal(loaded(**batch).loss, model(**batch).loss)


def test_it_acts_in_environments_with_more_arms_than_it_was_trained_on(make_bandit_model):
    family = task_family("bernoulli_bandit", num_arms=15, horizon=12)
    tasks = family.sample(6, seed=1, min_arms=1, max_arms=15)
    result = rollout(make_bandit_model(), family.make_vec(tasks), 2, record=True)
    for task, actions in zip(tasks, result.history["actions"], strict=True):
        assert actions.max() < len(task["means"])
    assert max(len(set(actions.tolist())) for actions in result.history["actions"]) > ARMS


# ---- Dropout ----


def test_acting_without_dropout_is_acting_in_eval_mode_bitwise(make_bandit_model, make_history, run_cached):
    model, runs = make_bandit_model(initializer_range=0.5), []
    history = make_history(model, rows=3, steps=20)
    for training in (False, True):
        part = {name: values.copy() for name, values in history.items()}
        logits = run_cached(model.train(training), model.init_rollout(3), part)
        assert model.training == training
        runs.append((logits, part["actions"]))
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


def test_acting_with_dropout_draws_from_numbers_of_its_own(make_bandit_model, make_history, run_cached):
    model = make_bandit_model(initializer_range=0.5, act_with_dropout=True)
    history = make_history(model, rows=3, steps=20)

    def run(seed, model=model):
        part = {name: values.copy() for name, values in history.items()}
        return run_cached(model, model.init_rollout(3, seed=seed, temperature=0, action_embeddings=np.eye(6, 8)), part)

    before = torch.random.get_rng_state()
    logits = run(0)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not model.training
    torch.rand(5)  # what others draw meanwhile changes nothing
    np.testing.assert_array_equal(run(0), logits)
    assert np.abs(run(1) - logits).max() > 1e-3
    still = make_bandit_model(initializer_range=0.5)
    assert np.abs(run(0, still) - logits).max() > 1e-3
    np.testing.assert_array_equal(run(0, still), run(1, still))
    # Two steps of one rollout do not drop the same units: equal inputs give different logits.
    state, seen = model.init_rollout(3), []
    model.register_forward_hook(lambda module, args, output: seen.append(output.logits[:, -1:].numpy()))
    for _ in range(2):
        model.act(state, [0, 0, 0])
        state.restart([0, 1, 2])
    assert np.abs(seen[-1] - seen[1]).max() > 1e-3

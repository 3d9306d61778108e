"""What every model of the library must do as any transformers model does. See `ModelChecks`."""

import inspect

import numpy as np
import pytest
import torch
from loading_checks import LoadingChecks, of_every_layout, of_every_trunk_and_layout, random_sets
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from tiny_configs import tiny_config
from transformers import AutoConfig, AutoModel, Trainer, TrainingArguments
from transformers.utils import is_flash_attn_2_available


class ModelChecks(LoadingChecks):
    """The checks that all models share.

    A subclass, `class TestMyModel(ModelChecks)`, names the model: `model_type`, of which tiny_configs.py has a config.
    Inputs are made from the config's spaces and from what it says that the model reads; a model that reads more
    overrides `make_batch`.
    """

    # Whether the forward, loss included, is one graph to torch.compile.
    compiles_whole = True

    # ---- Training ----

    @of_every_trunk_and_layout
    def test_gradient_checkpointing_gives_the_same_gradients(self, build, make_batch, trunk, layout):
        model = build(trunk, token_layout=layout).train()
        batch, gradients = make_batch(model), []
        for reentrant in (None, False, True):
            if reentrant is not None:
                model.gradient_checkpointing_enable({"use_reentrant": reentrant})
                assert model.is_gradient_checkpointing
            model.zero_grad()
            model(**batch).loss.backward()
            gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
        for other in gradients[1:]:
            for name in other:
                torch.testing.assert_close(other[name], gradients[0][name], atol=1e-6, rtol=1e-5)

    def test_plain_trainer_gives_the_same_weights_with_and_without_gradient_accumulation(
        self, build, make_batch, tmp_path
    ):
        weights = []
        for batch_size, accumulation in ((4, 1), (1, 4)):
            model = build(initializer_range=0.1)
            columns = make_batch(model, rows=12)
            # Rows with different numbers of supervised steps are where a mean of means would differ.
            for row in range(12):
                columns["labels"][row, : row % 7] = -100
            rows = [{name: value[i] for name, value in columns.items()} for i in range(12)]
            arguments = TrainingArguments(
                output_dir=str(tmp_path / str(accumulation)),
                per_device_train_batch_size=batch_size,
                gradient_accumulation_steps=accumulation,
                max_steps=3,
                learning_rate=1e-2,
                # Plain gradient descent: Adam divides tiny differences by tiny numbers.
                optim="sgd",
                train_sampling_strategy="sequential",
                use_cpu=True,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
            )
            trainer = Trainer(model=model, args=arguments, train_dataset=rows, eval_dataset=rows)
            before = trainer.evaluate()["eval_loss"]
            trainer.train()
            assert trainer.evaluate()["eval_loss"] < before
            weights.append(model.state_dict())
        for name in weights[0]:
            torch.testing.assert_close(weights[1][name], weights[0][name], atol=1e-6, rtol=1e-5)

    @pytest.mark.parametrize("checkpointing", [False, True])
    @pytest.mark.parametrize("trunk", ["llama", "gpt2"])
    def test_a_lora_adapter_trains_reloads_and_merges(self, build, make_batch, act, tmp_path, trunk, checkpointing):
        build(trunk).save_pretrained(tmp_path / "base")
        base = AutoModel.from_pretrained(tmp_path / "base").train()
        if checkpointing:
            base.gradient_checkpointing_enable()
            base.enable_input_require_grads()
        layers = {"llama": ["q_proj", "v_proj"], "gpt2": ["c_attn"]}[trunk]
        lora = {"target_modules": layers, "fan_in_fan_out": trunk == "gpt2"}
        model = get_peft_model(base, LoraConfig(r=4, modules_to_save=["embedding", "head"], **lora))
        batch = make_batch(base)
        trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
        assert {part for name in trained for part in ("lora_A", "lora_B", "embedding", "head") if part in name} == {
            "lora_A",
            "lora_B",
            "embedding",
            "head",
        }
        optimizer = torch.optim.SGD(trained.values(), lr=0.02)
        losses = []
        for _ in range(3):
            loss = model(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            assert not [name for name, value in trained.items() if value.grad is None]
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0]
        model.eval().save_pretrained(tmp_path / "adapter")
        assert {path.suffix for path in (tmp_path / "adapter").iterdir()} == {".json", ".safetensors", ".md"}
        expected, actions = model(**batch).logits, act(model)
        onto_the_base = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
        merged = PeftModel.from_pretrained(AutoModel.from_pretrained(tmp_path / "base"), tmp_path / "adapter")
        merged = merged.merge_and_unload()
        assert not [name for name, _ in merged.named_parameters() if "lora" in name or "modules_to_save" in name]
        merged.save_pretrained(tmp_path / "merged")
        # The second finds its base by the path in the adapter's config.
        for name, loaded in {
            "adapter": onto_the_base,
            "adapter by itself": AutoModel.from_pretrained(tmp_path / "adapter"),
            "merged": AutoModel.from_pretrained(tmp_path / "merged"),
        }.items():
            torch.testing.assert_close(
                loaded.eval()(**batch).logits,
                expected,
                atol=1e-5,
                rtol=1e-5,
                msg=lambda text, name=name: f"{name}: {text}",
            )
            np.testing.assert_array_equal(act(loaded), actions, err_msg=name)
        assert type(loaded) is type(base)

    @pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
    def test_a_compiled_forward_gives_the_same_loss_and_gradients(self, build, make_batch, backend):
        model = build(trunk_config={"num_hidden_layers": 1}).train()  # compiling takes longer with each layer
        batch = make_batch(model)
        torch._dynamo.reset()
        try:
            compiled, results = torch.compile(model, backend=backend, fullgraph=self.compiles_whole), []
            for forward in (model, compiled):
                model.zero_grad()
                loss = forward(**batch).loss
                loss.backward()
                results.append([loss.detach(), *(parameter.grad.clone() for parameter in model.parameters())])
        finally:
            torch._dynamo.reset()
        for plain, other in zip(*results, strict=True):
            torch.testing.assert_close(other, plain, atol=1e-5, rtol=1e-4)

    # ---- Attention and acting ----

    @of_every_layout
    @torch.no_grad()
    def test_attention_implementations_agree_and_eager_shows_its_attention(self, build, make_batch, tmp_path, layout):
        model = build(token_layout=layout)
        model.save_pretrained(tmp_path)
        batch = make_batch(model)
        sdpa = model(**batch, output_hidden_states=True)
        model.set_attn_implementation("eager")
        eager = model(**batch, output_hidden_states=True, output_attentions=True)
        torch.testing.assert_close(eager.logits, sdpa.logits, atol=1e-5, rtol=0)
        rows, tokens, width = eager.hidden_states[0].shape
        assert (rows, width) == (2, 32)
        assert tokens >= 8 * model.config.tokens_per_step
        assert {part.shape for part in (*eager.hidden_states, *sdpa.hidden_states)} == {(rows, tokens, width)}
        assert [part.shape for part in eager.attentions] == [(rows, 2, tokens, tokens)] * 2
        assert sdpa.attentions is None
        loaded = AutoModel.from_pretrained(tmp_path, attn_implementation="eager")
        assert loaded.trunk.config._attn_implementation == "eager"
        assert torch.equal(loaded(**batch).logits, eager.logits)

    def test_attention_that_cannot_be_is_refused_with_words(self, build, tmp_path):
        model = build()
        model.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r'attn_implementation="woven".* is not supported'):
            AutoModel.from_pretrained(tmp_path, attn_implementation="woven")
        if not is_flash_attn_2_available():
            with pytest.raises(ImportError, match="FlashAttention2"):
                AutoModel.from_pretrained(tmp_path, attn_implementation="flash_attention_2")
        model.set_attn_implementation("flex_attention")
        with pytest.raises(ValueError, match=r"'flex_attention', which .*set_attn_implementation\('sdpa'\)"):
            model.init_rollout(1)

    @pytest.mark.slow  # it compiles the attention first
    def test_flex_attention_cannot_train_on_a_cpu(self, build, make_batch):
        model = build(attn_implementation="flex_attention")
        with pytest.raises(NotImplementedError, match="FlexAttention does not support backward on CPU"):
            model(**make_batch(model))

    @of_every_trunk_and_layout
    def test_acting_with_a_cache_equals_a_forward_without(
        self, build, make_history, reference_logits, run_cached, trunk, layout
    ):
        """Over three contexts, a row restarting and (where the model reads them) action sets changing."""
        model = build(trunk, token_layout=layout, refill_keep=3)
        rows, steps, again = 2, 27, 11
        history, changes = make_history(model, rows, steps), {}
        state = model.init_rollout(rows)
        if model.config.reads_action_sets:
            more = model.action_space.sizes[0] + 4
            changes = {t: random_sets(rows, more, seed=t) for t in (0, 13)}
            state = model.init_rollout(rows, available_actions=changes[0])
        cached = run_cached(model, state, history, {again: [1]}, {t: sets for t, sets in changes.items() if t})
        for row, start, stop in ((0, 0, steps), (1, 0, again), (1, again, steps)):
            part = {name: values[row : row + 1, start:stop] for name, values in history.items()}
            there = {}
            if changes:
                there["sets"] = np.stack([changes[13 if t >= 13 else 0][row] for t in range(start, stop)])
                there["vectors"] = state.action_embeddings[row]
            expected = reference_logits(model, part, keep=3, **there)
            np.testing.assert_allclose(cached[row, start:stop], expected, atol=1e-5, rtol=1e-6)

    # ---- What is refused ----

    def test_arguments_that_are_not_known_are_refused(self, build, make_batch, tmp_path):
        model = build()
        model.save_pretrained(tmp_path)
        batch = make_batch(model)
        name = type(model).__name__
        assert inspect.Parameter.VAR_KEYWORD not in {
            p.kind for p in inspect.signature(model.forward).parameters.values()
        }
        with pytest.raises(TypeError, match=rf"{name}.* no argument 'observation': did you mean 'observations'"):
            model(**batch, observation=None)
        with pytest.raises(
            TypeError, match=r"no argument 'input_ids', for it reads no text\. With PEFT leave task_type"
        ):
            get_peft_model(build(), LoraConfig(target_modules=["q_proj"], task_type=TaskType.FEATURE_EXTRACTION))(
                **batch
            )
        for load in (AutoConfig.from_pretrained, AutoModel.from_pretrained, type(model).from_pretrained):
            with pytest.raises(TypeError, match="temprature"):
                load(tmp_path, temprature=0.25)
        with pytest.raises(TypeError, match=r"'temprature' of .*did you mean 'temperature'"):
            tiny_config(self.model_type, temprature=0.25)

    def test_other_sizes_are_refused_unless_asked_for(self, build, make_batch, tmp_path):
        model = build()
        model.save_pretrained(tmp_path)
        with pytest.raises(NotImplementedError, match=f"{type(model).__name__} has no tokens to resize.*other spaces"):
            model.resize_token_embeddings(20)
        larger = {"observation_space": {"type": "Discrete", "n": 20}}
        with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
            AutoModel.from_pretrained(tmp_path, **larger)
        loaded = AutoModel.from_pretrained(tmp_path, ignore_mismatched_sizes=True, **larger)
        batch = make_batch(model)
        batch["observations"][:] = 19
        assert loaded(**batch).logits.isfinite().any(-1).all()
        assert torch.equal(loaded.trunk.layers[0].mlp.up_proj.weight, model.trunk.layers[0].mlp.up_proj.weight)

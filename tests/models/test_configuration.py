"""Configs say what is wrong before anything is trained."""

import json
import logging
import math

import numpy as np
import pytest
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given
from hypothesis import strategies as st

import hf_icrl
from hf_icrl import AlgorithmDistillationConfig
from hf_icrl.models.space_specs import parse_space

GRID = {"type": "Discrete", "n": 81}
FIVE = {"type": "Discrete", "n": 5}
BOX = {"type": "Box", "shape": [2], "low": -1.0, "high": [1.0, 2.0]}
MISTRAL = {"model_type": "mistral", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
IMAGE = {"type": "Box", "dtype": "uint8", "shape": [4, 4, 3]}


def config(**arguments):
    return AlgorithmDistillationConfig(**{"observation_space": GRID, "action_space": FIVE, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"contxt_length": 3}, "'contxt_length' of AlgorithmDistillationConfig: did you mean 'context_length'"),
        ({"xyzzy": 3}, "unknown argument 'xyzzy' .* valid are .*context_length"),
        ({"trunk_config": {"num_hidden_layer": 3}}, "'num_hidden_layer' of LlamaConfig: did you mean 'num_hidden_la"),
        # Llama would take it in silence and ignore it.
        ({"trunk_config": {"sliding_window": 3}}, "unknown argument 'sliding_window' of LlamaConfig"),
    ],
)
def test_unknown_arguments_are_refused_with_the_nearest_name(arguments, message):
    with pytest.raises(TypeError, match=message):
        config(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observation_space": None}, "observation_space is None; it must be a dict such as"),
        ({"action_space": {"type": "Tuple"}}, "action_space is"),
        ({"action_space": {"type": "Discrete"}}, "incomplete"),
        ({"action_space": {"type": "Discrete", "n": 0}}, "at least 1"),
        ({"action_space": {"type": "Discrete", "n": 2, "num": 3}}, "unknown entry 'num'"),
        ({"action_space": {"type": "Discrete", "n": 2, "start": 1}}, "unknown entry 'start'"),
        ({"action_space": IMAGE}, "is an image .* no head of this library draws"),
        ({"observation_space": {**IMAGE, "dtype": "float64"}}, "dtype is 'float64'"),
        ({"observation_space": {**IMAGE, "high": 255}}, "always 0 and 255"),
        ({"action_space": {"type": "MultiDiscrete", "nvec": [2, 2]}}, "no head of this library draws from"),
        ({"observation_space": {**BOX, "low": [0.0, 3.0]}}, "must not exceed"),
        ({"observation_space": {**BOX, "low": [0.0] * 3}}, "low has 3 numbers"),
        ({"observation_grid": [8, 9]}, "has 72 cells, but observation_space has 81 values"),
        ({"observation_embedding": "row_col"}, "needs observation_grid"),
        ({"observation_embedding": "linear"}, "'linear' of .* needs observation_grid"),
        ({"observation_embedding": "fourier"}, "'fourier' of .* needs observation_grid"),
        ({"observation_space": BOX, "observation_embedding": "fourier"}, "'fourier' embeds Discrete or MultiDiscrete"),
        ({"observation_embedding": "conv"}, "observation_embedding='conv' embeds Box"),
        ({"observation_space": BOX, "observation_embedding": "conv"}, "'conv' embeds images, Boxes of dtype uint8"),
        ({"observation_space": {**IMAGE, "shape": [4]}, "observation_embedding": "conv"}, "'conv' embeds images"),
        (
            {"observation_space": IMAGE, "observation_embedding": "conv", "observation_mean": [0.0] * 48},
            "embedded as 'conv', where nothing is normalised",
        ),
        (
            {"observation_grid": [9, 9], "observation_embedding": "linear", "observation_std": [1.0]},
            "observation_std has 1 numbers, .* give 2",
        ),
        ({"position_embedding": "env_time"}, "needs episode_length"),
        ({"episode_length": 0}, "episode_length=0"),
        ({"reward_embedding": "table"}, "needs reward_values"),
        ({"reward_embedding": "table", "reward_values": []}, "needs reward_values"),
        ({"reward_embedding": "table", "reward_values": [1.0, 0.0]}, "must be finite and increasing"),
        ({"reward_embedding": "table", "reward_values": [0.0, 1e-6]}, "must be finite and increasing"),
        ({"reward_embedding": "table", "reward_values": [0.0, math.inf]}, "must be finite and increasing"),
        ({"reward_embedding": "table", "reward_values": [0, 1], "reward_std": 2.0}, "which looks them up as they are"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0; it must be at least 0 and less than 1"),
        ({"label_smoothing": 0.1, "action_space": BOX}, "label_smoothing=0.1 is of the categorical head"),
        ({"observation_embedding": "table", "observation_grid": [9, 9]}, "leave observation_grid out"),
        ({"observation_space": BOX, "observation_mean": [0.0]}, "observation_mean has 1 numbers"),
        ({"observation_mean": [0.0]}, "observation_mean has 1 numbers"),
        ({"observation_space": BOX, "observation_std": [1.0, 0.0]}, "must be above 0"),
        ({"reward_std": 0}, "must be above 0"),
        ({"action_head": "gaussian"}, "action_head='gaussian' does not fit"),
        ({"action_space": BOX, "action_head": "categorical"}, "action_head='categorical' does not fit"),
        ({"context_length": 0}, "context_length=0"),
        (
            {"context_length": 10, "refill_keep": 10},
            "refill_keep=10 must be at least 0 and less than context_length=10",
        ),
        ({"temperature": -1}, "temperature=-1"),
        ({"temperature": math.inf}, "temperature=inf"),
        ({"trunk_config": {"model_type": "lama"}}, "unknown model_type 'lama'"),
        ({"trunk_config": {"max_position_embeddings": 100}}, "max_position_embeddings = 100 is less than the 200"),
        (
            {"trunk_config": {"max_position_embeddings": 300}, "token_layout": "interleaved"},
            "max_position_embeddings = 300 is less than the 600 tokens",
        ),
        ({"overflow": "slide"}, "overflow='slide' needs a trunk"),
        ({"trunk_config": {**MISTRAL, "sliding_window": 20}}, "recomputes contexts of 200 tokens, .* only 20"),
        (
            {"trunk_config": {**MISTRAL, "sliding_window": 201}, "overflow": "slide"},
            "window of 201 tokens, but a training window has only 200",
        ),
        (
            {
                "trunk_config": {
                    **MISTRAL,
                    "sliding_window": 20,
                    "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
                },
                "overflow": "slide",
            },
            "of the type 'linear'",
        ),
        (
            {
                "trunk_config": {
                    **MISTRAL,
                    "model_type": "qwen3",
                    "use_sliding_window": True,
                    "sliding_window": 20,
                    "max_window_layers": 1,
                },
            },
            r"layers of the kinds \['full_attention', 'sliding_attention'\]",
        ),
        ({"action_space": {"type": "Box", "shape": [1], "low": -100, "high": 100}}, "has the bound -100"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        config(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"context_length": "5"},
        {"context_length": np.int64(5)},
        {"token_layout": "woven"},
        {"overflow": "drop"},
        {"observation_grid": (9, 9)},
        {"trunk_config": {"hidden_size": "64"}},
    ],
)
def test_wrong_types_are_refused(arguments):
    with pytest.raises(StrictDataclassError):
        config(**arguments)
    with pytest.raises(StrictDataclassError):
        config().context_length = "5"


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "qwen3", "mistral"])
def test_a_trunk_is_as_large_as_said_and_small_where_nothing_is_said(model_type):
    trunk = config(trunk_config={"model_type": model_type, "hidden_size": 48}, context_length=50).trunk_config
    assert (trunk.hidden_size, trunk.num_hidden_layers, trunk.num_attention_heads) == (48, 4, 4)
    assert trunk.max_position_embeddings == 50
    assert trunk.vocab_size == 1
    if model_type != "gpt2":
        assert (trunk.head_dim, trunk.num_key_value_heads, trunk.intermediate_size) == (12, 4, 192)


def test_other_names_of_a_size_count_as_said():
    trunk = config(trunk_config={"model_type": "gpt2", "n_embd": 96, "n_layer": 2, "n_head": 3}).trunk_config
    assert (trunk.hidden_size, trunk.num_hidden_layers, trunk.num_attention_heads) == (96, 2, 3)


def test_auto_choices():
    assert config().resolved_observation_embedding == "table"
    assert config(observation_grid=[9, 9]).resolved_observation_embedding == "row_col"
    assert config(observation_space=BOX).resolved_observation_embedding == "linear"
    assert (
        config(observation_space={"type": "MultiDiscrete", "nvec": [9, 9]}).resolved_observation_embedding == "row_col"
    )
    assert config(observation_space=IMAGE).resolved_observation_embedding == "linear"
    assert config().resolved_action_head == "categorical"
    assert config(action_space=BOX).resolved_action_head == "gaussian"
    assert (config(context_length=9).resolved_refill_keep, config(refill_keep=0).resolved_refill_keep) == (4, 0)


spaces = st.one_of(
    st.builds(lambda n: {"type": "Discrete", "n": n}, st.integers(1, 50)),
    st.builds(
        lambda nvec: {"type": "MultiDiscrete", "nvec": nvec}, st.lists(st.integers(1, 9), min_size=1, max_size=3)
    ),
    st.builds(
        lambda low, width, bounded: {
            "type": "Box",
            "shape": [len(low)],
            "low": low if bounded else -math.inf,
            "high": [x + width for x in low] if bounded else math.inf,
        },
        st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=4),
        st.floats(0, 10, width=16),
        st.booleans(),
    ),
)


@given(data=st.data())
def test_a_saved_config_loads_as_it_was(tmp_path_factory, data):
    action = data.draw(spaces.filter(lambda space: space["type"] != "MultiDiscrete"))
    saved = AlgorithmDistillationConfig(
        observation_space=data.draw(spaces),
        action_space=action,
        context_length=data.draw(st.integers(10, 100)),
        refill_keep=data.draw(st.none() | st.integers(0, 9)),
        temperature=data.draw(st.floats(0, 2)),
        token_layout=data.draw(st.sampled_from(["fused", "interleaved"])),
        reward_mean=data.draw(st.floats(-2, 2)),
        trunk_config={"model_type": data.draw(st.sampled_from(["llama", "gpt2", "qwen3"])), "hidden_size": 32},
    )
    folder = tmp_path_factory.mktemp("config")
    saved.save_pretrained(folder)
    json.loads((folder / "config.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    loaded = AlgorithmDistillationConfig.from_pretrained(folder)
    assert loaded.to_dict() == saved.to_dict()
    assert loaded.hf_icrl_version == hf_icrl.__version__


@given(space=spaces, data=st.data())
def test_values_inside_a_space_pass_and_values_outside_are_named(space, data):
    parsed = parse_space(space, "space")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    low = np.where(np.isfinite(parsed.low), parsed.low, -10)
    high = np.where(np.isfinite(parsed.high), parsed.high, 10)
    if parsed.is_discrete:
        values = rng.integers(low, high + 1, size=(3, 2, *parsed.shape))
    else:
        values = rng.uniform(low, high, size=(3, 2, *parsed.shape)).astype(np.float32).clip(low, high)
    np.testing.assert_array_equal(parsed.checked(values, "values", (3, 2)), values)
    if parsed.is_discrete or np.isfinite(parsed.high).all():
        place = tuple(rng.integers(values.shape))
        values[place] = np.broadcast_to(parsed.high, values.shape)[place] + 1
        with pytest.raises(ValueError, match="outside the space") as error:
            parsed.checked(values, "values", (3, 2))
        assert f"values{[int(i) for i in place]} is {values[place]}" in str(error.value)


@pytest.mark.parametrize("odd", [-1, 256, 300.0])
def test_numbers_that_no_image_holds_are_named(odd):
    parsed = parse_space(IMAGE, "space")
    image = np.zeros((1, 4, 4, 3), type(odd))
    assert parsed.checked(image, "observations", (1,)).dtype == np.uint8
    image[0, 1, 2, 0] = odd
    with pytest.raises(ValueError, match=rf"observations\[0, 1, 2, 0\] is {odd}, .* an image of integers 0 to 255"):
        parsed.checked(image, "observations", (1,))
    with pytest.raises(ValueError, match="pass integers"):
        parsed.checked(image + 0.5, "observations", (1,))


def test_loading_refuses_misspelt_arguments_and_checks_overrides(tmp_path):
    config().save_pretrained(tmp_path)
    loaded = AlgorithmDistillationConfig.from_pretrained(tmp_path, temperature=0.5, trust_remote_code=False)
    assert loaded.temperature == 0.5
    with pytest.raises(TypeError, match=r"'temprature' .* did you mean 'temperature'"):
        AlgorithmDistillationConfig.from_pretrained(tmp_path, temprature=0.5)
    with pytest.raises(ValueError, match="refill_keep=200 must be at least 0 and less than context_length=200"):
        AlgorithmDistillationConfig.from_pretrained(tmp_path, refill_keep=200)


def test_a_file_of_an_older_version_loads_with_the_defaults(tmp_path):
    config().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    for name in ("position_embedding", "episode_length", "reward_embedding", "reward_values", "label_smoothing"):
        values.pop(name, None)
    path.write_text(json.dumps(values))
    loaded = AlgorithmDistillationConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == {**config().to_dict(), "auto_map": loaded.auto_map}


def test_a_model_without_positions_needs_none_of_its_trunk():
    """No position is ever read, so their number and kind are of no matter."""
    arguments = {"position_embedding": "env_time", "episode_length": 20}
    assert config(trunk_config={"max_position_embeddings": 100}, **arguments).context_length == 200
    odd = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    trunk = {**MISTRAL, "sliding_window": 20, "rope_parameters": odd}
    assert config(trunk_config=trunk, overflow="slide", **arguments).overflow == "slide"
    both = {**arguments, "position_embedding": "trunk_and_env_time"}
    with pytest.raises(ValueError, match="max_position_embeddings = 100 is less than the 200"):
        config(trunk_config={"max_position_embeddings": 100}, **both)


def test_a_file_of_a_newer_version_loads_with_a_warning(tmp_path, caplog):
    config().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "context_lengths": 7}))
    logger = logging.getLogger("transformers")
    logger.propagate, before = True, logger.propagate
    try:
        with caplog.at_level(logging.WARNING):
            loaded = AlgorithmDistillationConfig.from_pretrained(tmp_path)
    finally:
        logger.propagate = before
    assert loaded.to_dict() == {**config().to_dict(), "auto_map": loaded.auto_map}
    logged = caplog.text
    assert "'context_lengths' is unknown" in logged
    assert "did you mean 'context_length'" in logged

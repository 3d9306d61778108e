"""Which transformers decoders can be a trunk, and with what settings."""

import difflib
from dataclasses import fields

from transformers import AutoConfig, PreTrainedConfig

# What transformers itself passes to a config's constructor besides the declared fields. Anything else is a
# misspelt argument.
LIBRARY_KEYS = {
    "model_type",
    "auto_map",
    "torch_dtype",
    "num_labels",
    "name_or_path",
    "_name_or_path",
    "_commit_hash",
    "attn_implementation",
    "experts_implementation",
    "output_attentions",
    "per_layer_config",
    "quantization_config",
}
# Older names of the rotary parameters, which transformers converts.
_ROPE_KEYS = {"rope_theta", "rope_scaling"}
# A trunk is as large as asked for; what is not said is small, because the models of this library are.
_SIZES = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4}
_NO_TEXT = {"vocab_size": 1, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


def complete_trunk_config(trunk, num_positions):
    """A trunk config, with everything that a dict left unsaid filled in small.

    Args:
        trunk (`dict` or `PreTrainedConfig` or `None`): what the user gave. A dict without `model_type` is a Llama.
        num_positions (`int`): those of one full context; becomes `max_position_embeddings` where none is given.

    Returns:
        `PreTrainedConfig`: the given object itself, or a new one. Defaults are hidden_size 64, 4 layers and 4 heads
        (instead of a language model's size), head_dim = hidden_size / heads, as many key-value heads as heads,
        intermediate_size = 4 * hidden_size, vocab_size 1 and no special tokens.

    Raises:
        ValueError: an unknown `model_type`.
        TypeError: an entry that the trunk's config does not know (transformers would take it and never read it).
    """
    if isinstance(trunk, PreTrainedConfig):
        return trunk
    given = dict(trunk or {})
    model_type = given.pop("model_type", "llama")
    try:
        config_class = type(AutoConfig.for_model(model_type))
    except ValueError as error:
        raise ValueError(f"trunk_config: unknown model_type {model_type!r}; try 'llama', 'gpt2' or 'qwen3'") from error
    # GPT-2 and its like call hidden_size n_embd and so on.
    aliases = config_class.attribute_map
    known = {field.name for field in fields(config_class)}

    allowed = known | set(aliases) | LIBRARY_KEYS | (_ROPE_KEYS if "rope_parameters" in known else set())
    for name in given:
        if name not in allowed:
            raise TypeError(
                f"trunk_config: unknown argument {name!r} of {config_class.__name__}{nearest(name, allowed)}"
            )

    def lookup(name):
        return given.get(name, given.get(aliases.get(name, name)))

    def fill(name, value):
        own = aliases.get(name, name)
        if own in known and name not in given and own not in given:
            given[own] = value

    for name, value in _SIZES.items():
        fill(name, value)
    if "vocab_size" not in given:
        for name, value in _NO_TEXT.items():
            fill(name, value)
    width, heads = lookup("hidden_size"), lookup("num_attention_heads")
    fill("num_key_value_heads", heads)
    # What is no number is for the trunk's own config to refuse.
    if isinstance(width, int) and isinstance(heads, int) and heads > 0:
        fill("head_dim", width // heads)
        fill("intermediate_size", 4 * width)
    fill("max_position_embeddings", num_positions)
    return config_class(**given)


def sliding_window_of(trunk):
    """How the trunk's layers attend.

    Args:
        trunk (`PreTrainedConfig`): the trunk's config.

    Returns:
        `int | None`: the window in tokens if **every** layer has true sliding-window attention, None if no layer has.

    Raises:
        ValueError: some layers slide and others do not, or a layer is neither full nor sliding attention (a
            recurrent or chunked layer cannot be cached row by row).
    """
    names = {field.name for field in fields(trunk)}
    window = getattr(trunk, "sliding_window", None) if "sliding_window" in names else None
    # Llama takes `sliding_window` and `layer_types` as loose attributes and ignores them: only declared fields count.
    kinds = set(getattr(trunk, "layer_types", None) or []) if "layer_types" in names else set()
    if not kinds:
        return window
    if kinds == {"full_attention"}:
        return None
    if kinds == {"sliding_attention"} and window is not None:
        return window
    raise ValueError(
        f"trunk_config {trunk.model_type!r} has layers of the kinds {sorted(kinds)} (sliding_window {window}); a trunk "
        "needs full attention in every layer, or sliding attention in every layer: set layer_types accordingly"
    )


def check_positions(trunk, num_positions, overflow):
    """Raise `ValueError` if the trunk cannot number the positions that acting will need.

    Args:
        trunk (`PreTrainedConfig`): the trunk's config.
        num_positions (`int`): those of one full context.
        overflow (`str`): "refill" needs `num_positions`; "slide" needs positions without end, which
            only plain rotary embeddings have.
    """
    limit = getattr(trunk, "max_position_embeddings", None)
    if limit is not None and limit < num_positions:
        raise ValueError(
            f"trunk_config.max_position_embeddings = {limit} is less than the {num_positions} tokens of one context "
            "(context_length times the tokens of a step, and one for a prompt): raise it or shorten context_length"
        )
    if overflow == "slide":
        rope = getattr(trunk, "rope_parameters", None)
        if not isinstance(rope, dict):
            raise ValueError(
                f"overflow='slide' lets positions grow without end, but the trunk {trunk.model_type!r} has no rotary "
                "position embeddings: use overflow='refill' or another trunk (Mistral, Qwen3)"
            )
        # Some trunks have one set of rotary parameters for each kind of layer.
        parts = [rope] if "rope_type" in rope else [part for part in rope.values() if isinstance(part, dict)]
        odd = [part.get("rope_type") for part in parts if part.get("rope_type", "default") != "default"]
        if odd:
            raise ValueError(
                f"overflow='slide' lets positions grow without end, but the trunk's rotary embeddings are of the type "
                f"{odd[0]!r}, which rescales them: use rope_type 'default' or overflow='refill'"
            )


def check_sliding(window, num_tokens, overflow):
    """Raise `ValueError` if the trunk's attention does not fit the overflow policy.

    Args:
        window (`int | None`): what `sliding_window_of` said, in tokens.
        num_tokens (`int`): the tokens of one full context.
        overflow (`str`): "refill" or "slide".
    """
    if overflow == "slide" and window is None:
        raise ValueError(
            "overflow='slide' needs a trunk in which every layer has sliding-window attention, and this one has none "
            "(Llama ignores `sliding_window`; Qwen3 needs use_sliding_window=True and max_window_layers=0; Mistral "
            "has it): change trunk_config or use overflow='refill'"
        )
    if overflow == "slide" and window > num_tokens:
        raise ValueError(
            f"overflow='slide' with a sliding window of {window} tokens, but a training window has only {num_tokens}: "
            "the model would attend further back than it was ever trained to. Make trunk_config.sliding_window at "
            "most that"
        )
    if overflow == "refill" and window is not None and window < num_tokens:
        raise ValueError(
            f"overflow='refill' recomputes contexts of {num_tokens} tokens, but the trunk's sliding window sees only "
            f"{window} of them: set trunk_config.sliding_window to null, or use overflow='slide'"
        )


def nearest(name, names):
    """The end of an unknown-name error: the nearest valid name, or all of them."""
    close = difflib.get_close_matches(name, names, n=1)
    return f": did you mean {close[0]!r}?" if close else f"; valid are {', '.join(sorted(names))}"

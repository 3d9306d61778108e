"""What the configs of all in-context RL models share."""

import math
import sys
from dataclasses import fields
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import logging

from .embedding_rules import check_observation_embedding, check_position_embedding, check_reward_embedding
from .space_specs import parse_space
from .trunk_rules import (
    LIBRARY_KEYS,
    check_positions,
    check_sliding,
    complete_trunk_config,
    nearest,
    sliding_window_of,
)

logger = logging.get_logger(__name__)

# What `AutoConfig.from_pretrained` may leave over besides misspelt arguments.
_LOADING_KEYS = {"trust_remote_code", "code_revision", "adapter_kwargs", "_from_auto", "_from_pipeline"}
# May be a repository with kernels, whose code would be fetched and run: for the caller to choose, not for a file.
_NOT_FROM_FILES = {"attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation"}


@strict
class ICRLPreTrainedConfig(PreTrainedConfig):
    r"""
    Base of the configs of in-context RL models: spaces, context, trunk, and how actions are drawn. A checkpoint
    alone can act, so everything that acting needs stands here. Unknown arguments are refused.

    Args:
        observation_space (`dict`):
            The space of the observations: `{"type": "Discrete", "n": 81}`, `{"type": "MultiDiscrete", "nvec": [9, 9]}`
            or `{"type": "Box", "shape": [4], "low": -1.0, "high": 1.0}`, or an image,
            `{"type": "Box", "dtype": "uint8", "shape": [84, 84, 3]}`. Required.
        action_space (`dict`):
            The space of the actions: a Discrete or a Box that is no image. Required.
        padded_spaces (`bool`, *optional*, defaults to `False`):
            The model was trained on several environments whose discrete spaces differ in size, and its spaces are as
            large as the largest: environments with smaller ones are its own, too.
        context_length (`int`, *optional*, defaults to 200):
            W, the number of environment steps that the model attends over at most; training windows have this length.
        token_layout (`str`, *optional*, defaults to `"fused"`):
            `"fused"`: one token a step (the sum of observation, previous action, previous reward and episode end).
            `"interleaved"`: three tokens a step (previous action with episode end, previous reward, observation), as
            in Algorithm Distillation (Laskin et al., 2022); three times the cost.
        position_embedding (`str`, *optional*, defaults to `"trunk"`):
            What tells the tokens of a context apart besides their content. `"trunk"`: the trunk's own positions
            (rotary for Llama, a table for GPT-2), counted from the beginning of the context. `"env_time"`: a learned
            vector for the time inside the episode (steps taken before this one), added to every token of the step,
            and no other position: to the trunk every step stands at position 0. It tells the model that an episode's
            end is near, and nothing about which episode came first. `"trunk_and_env_time"`: both.
        episode_length (`int`, *optional*):
            The most steps that an episode has, the horizon: times are 0 to `episode_length - 1`, a later one is an
            error. Required by and only read where `position_embedding` has env_time in it.
        observation_embedding (`str`, *optional*, defaults to `"auto"`):
            `"table"`: one vector a state (Discrete). `"row_col"`: the sum of one vector a factor, for a MultiDiscrete,
            or for a Discrete that counts the cells of `observation_grid` row by row. `"linear"`: a projection of the
            numbers of a Box, or of the coordinates of a MultiDiscrete or of a grid. `"fourier"`: a projection of sines
            and cosines (periods 2, 4, ..., 64) of such coordinates. `"conv"`: a small convolutional encoder, for
            images. `"auto"`: linear for Box, row_col for MultiDiscrete and wherever `observation_grid` is given, else
            table. Tables know nothing of coordinates that were never trained on (a larger room); linear and fourier
            do, as long as `observation_space` has room for them.
        observation_grid (`list[int]`, *optional*):
            The shape of the grid that a Discrete observation counts through, `[rows, columns]` (or more dimensions).
        embed_previous_observation (`bool`, *optional*, defaults to `False`):
            Put what was observed before the previous action into that action's token, too, so that one token says where
            it was taken and what it earned: a whole transition. Without it the first layers have to learn to fetch it
            from the token before. Ours; needs `previous_observations` (`HistoryWindows(..., predecessors=True)`).
        observation_mean, observation_std (`list[float]`, *optional*):
            Normalisation for `"linear"`, one number an entry (flattened) or coordinate. Default for a Box 0 and 1, or
            0 and 255 for an image, whose numbers then lie in [0, 1]; for a coordinate of n values (n - 1) / 2 and
            n / 2, so that they lie in [-1, 1].
        reward_embedding (`str`, *optional*, defaults to `"linear"`):
            `"linear"`: a projection of the number, with a bias, which is all that a reward of 0 (after normalisation)
            is embedded as. `"table"`: one vector for each of `reward_values`.
        reward_values (`list[float]`, *optional*):
            All rewards that there are, increasing, e.g. `[0.0, 1.0]`; any other one is an error. Required by and only
            read with `reward_embedding="table"`.
        reward_mean, reward_std (`float`, *optional*, defaults to 0 and 1):
            Normalisation of rewards before they are projected (`reward_embedding="linear"`).
        action_head (`str`, *optional*, defaults to `"auto"`):
            `"categorical"` for Discrete actions. For Box actions `"gaussian"` (a mean and a standard deviation for
            each number, trained by negative log likelihood) or `"deterministic"` (trained by squared error), both in
            units in which finite bounds are -1 and 1. `"auto"`: categorical or gaussian.
        label_smoothing (`float`, *optional*, defaults to 0.0):
            Of the categorical head: the share of the target probability that is spread evenly over all actions.
        temperature (`float`, *optional*, defaults to 1.0):
            How actions are drawn: logits are divided by it (categorical), the standard deviation is multiplied by it
            (gaussian). 0 takes the most probable action. Choose it on validation tasks, never on the held-out ones.
        overflow (`str`, *optional*, defaults to `"refill"`):
            What happens to a full context while acting. `"refill"`: the newest `refill_keep` steps are recomputed.
            `"slide"`: the trunk's own sliding-window attention forgets the oldest; only for trunks in which every
            layer has it.
        refill_keep (`int`, *optional*):
            K, the number of steps kept by a refill, 0 <= K < W; default W // 2.
        act_with_dropout (`bool`, *optional*, defaults to `False`):
            Leave dropout on when acting, a fault of the published Headless-AD code that its tuned values live with
            (attention dropout of 0.7 makes its agents explore). Rows are then not independent: a row's actions depend
            on how many rows there are.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the initial embedding and head weights (the trunk has its own).
        trunk_config (`dict` or `PreTrainedConfig`, *optional*):
            The decoder, e.g. `{"model_type": "qwen3", "hidden_size": 128}`; Llama unless `model_type` says otherwise.
            What a dict leaves out of its size is filled in small (64 wide, 4 layers, 4 heads), not with the size of a
            language model.
        hf_icrl_version (`str`, *optional*):
            The version of hf_icrl that made the config; filled in by itself.
        format_version (`int`, *optional*):
            The version of the checkpoint's format, filled in by itself: files that say nothing are of version 1, and
            what is loaded is saved again in the newest. It goes up when a checkpoint could be misread by older code.
    """

    sub_configs_defaults = {"trunk_config": SubConfigSpec(AutoConfig, model_type="llama")}
    keys_to_ignore_at_inference = ["past_key_values", "hidden_states", "attentions"]
    # The newest that this code reads, and the one that it writes; see tests/fixtures/make_checkpoint.py.
    newest_format_version = 1

    observation_space: dict[str, Any] | None = None
    action_space: dict[str, Any] | None = None
    padded_spaces: bool = False
    context_length: int = 200
    token_layout: Literal["fused", "interleaved"] = "fused"
    position_embedding: Literal["trunk", "env_time", "trunk_and_env_time"] = "trunk"
    episode_length: int | None = None
    observation_embedding: Literal["auto", "table", "row_col", "linear", "fourier", "conv"] = "auto"
    observation_grid: list[int] | None = None
    embed_previous_observation: bool = False
    observation_mean: list[float | int] | None = None
    observation_std: list[float | int] | None = None
    reward_embedding: Literal["linear", "table"] = "linear"
    reward_values: list[float | int] | None = None
    reward_mean: float | int = 0.0
    reward_std: float | int = 1.0
    action_head: Literal["auto", "categorical", "gaussian", "deterministic"] = "auto"
    label_smoothing: float | int = 0.0
    temperature: float | int = 1.0
    overflow: Literal["refill", "slide"] = "refill"
    refill_keep: int | None = None
    act_with_dropout: bool = False
    initializer_range: float | int = 0.02
    trunk_config: dict[str, Any] | PreTrainedConfig | None = None
    hf_icrl_version: str | None = None
    format_version: int = newest_format_version
    # Trainer writes its own `use_cache` argument here; `act` does not read it.
    use_cache: bool = False

    def __post_init__(self, **kwargs):
        names = {field.name for field in fields(self)}
        for name in kwargs:
            if name not in LIBRARY_KEYS:
                raise TypeError(f"unknown argument {name!r} of {type(self).__name__}{nearest(name, names)}")
        self.trunk_config = complete_trunk_config(self.trunk_config, self.num_positions)
        if self.hf_icrl_version is None:
            # The package is not imported where this file runs as a checkpoint's own code.
            self.hf_icrl_version = getattr(sys.modules.get("hf_icrl"), "__version__", None)
        super().__post_init__(**kwargs)
        # `@strict` calls these again and wraps what they raise; calling them here gives a plain ValueError.
        self.validate_format()
        self.validate_spaces()
        self.validate_acting()

    @property
    def tokens_per_step(self):
        """Tokens that one environment step becomes: 1 (fused) or 3 (interleaved)."""
        return 3 if self.token_layout == "interleaved" else 1

    @property
    def num_positions(self):
        """The positions of one full context that the trunk must tell apart, in tokens."""
        return self.tokens_per_step * self.context_length

    @property
    def reads_action_sets(self):
        """Whether the model reads which actions there are: `available_actions`, `action_seeds`."""
        return False

    @property
    def window_options(self):
        """The arguments of `HistoryWindows` that make windows as the model reads them, without the data's own."""
        return {
            "length": self.context_length,
            "times": self.embeds_time,
            "predecessors": self.embed_previous_observation,
            "num_actions": parse_space(self.action_space, "action_space").sizes[0] if self.reads_action_sets else None,
        }

    @property
    def embeds_time(self):
        """Whether the model reads the time inside the episode, `episode_times`."""
        return self.position_embedding != "trunk"

    @property
    def resolved_refill_keep(self):
        """K in environment steps, the default filled in."""
        return self.context_length // 2 if self.refill_keep is None else self.refill_keep

    @property
    def resolved_action_head(self):
        """`action_head` with "auto" resolved."""
        if self.action_head != "auto":
            return self.action_head
        return "categorical" if parse_space(self.action_space, "action_space").is_discrete else "gaussian"

    @property
    def resolved_observation_embedding(self):
        """`observation_embedding` with "auto" resolved."""
        if self.observation_embedding != "auto":
            return self.observation_embedding
        kind = parse_space(self.observation_space, "observation_space").kind
        if kind == "Box":
            return "linear"
        return "row_col" if kind == "MultiDiscrete" or self.observation_grid is not None else "table"

    def validate_format(self):
        """The format is the one that this code writes."""
        if self.format_version != self.newest_format_version:
            raise ValueError(
                f"format_version={self.format_version}, but this code writes {self.newest_format_version}: leave it "
                "out, it is filled in by itself"
            )

    def validate_spaces(self):
        """The spaces are ones that the embedding and the head can handle."""
        observation = parse_space(self.observation_space, "observation_space")
        action = parse_space(self.action_space, "action_space")
        if action.kind == "MultiDiscrete":
            raise ValueError(
                f"action_space {self.action_space} is a MultiDiscrete, which no head of this library draws from: "
                "wrap the environment so that its actions are one Discrete (all combinations) or a Box"
            )
        if action.is_image:
            raise ValueError(
                f"action_space {self.action_space} is an image (uint8), which no head of this library draws: wrap the "
                "environment so that its actions are a Discrete or a Box of float32"
            )
        if action.kind == "Box" and bool(((action.low == -100) | (action.high == -100)).any()):
            raise ValueError(
                f"action_space {self.action_space} has the bound -100, which as a label means 'unsupervised', so actions "
                "on the bound would not be learned: rescale the actions (gymnasium.wrappers.RescaleAction)"
            )
        check_observation_embedding(self, observation)
        check_reward_embedding(self)
        check_position_embedding(self)
        if (self.resolved_action_head == "categorical") != action.is_discrete:
            raise ValueError(
                f"action_head={self.action_head!r} does not fit action_space {self.action_space}: Discrete actions "
                "need 'categorical', Box actions 'gaussian' or 'deterministic'; 'auto' chooses"
            )
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing={self.label_smoothing}; it must be at least 0 and less than 1")
        if self.label_smoothing and not action.is_discrete:
            raise ValueError(
                f"label_smoothing={self.label_smoothing} is of the categorical head, but action_space is a Box: leave "
                "it out"
            )

    def validate_acting(self):
        """The context, the overflow policy and the trunk fit each other."""
        if self.context_length < 1:
            raise ValueError(f"context_length={self.context_length}; it must be at least 1 environment step")
        check_temperature(self.temperature)
        check_refill_keep(self.refill_keep, self.context_length)
        self.check_trunk(self.overflow)

    def check_trunk(self, overflow):
        """Raise `ValueError` if the trunk's attention or positions do not fit this overflow policy."""
        num_tokens = self.tokens_per_step * self.context_length
        check_sliding(sliding_window_of(self.trunk_config), num_tokens, overflow)
        if self.position_embedding != "env_time":
            check_positions(self.trunk_config, self.num_positions, overflow)

    @classmethod
    def get_config_dict(cls, pretrained_model_name_or_path, **kwargs):
        """As in transformers, but a folder without a config file is an error, not an empty config.

        Raises:
            FileNotFoundError: there is no config.json.
        """
        config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if not config_dict:
            raise FileNotFoundError(
                f"{pretrained_model_name_or_path} has no config.json, without which the weights cannot be read (it "
                "holds the spaces, the context and the trunk): copy or download the whole model folder"
            )
        return config_dict, kwargs

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """As in transformers, but strict about arguments and lenient about files.

        An entry of a *file* that this version does not know is dropped with a warning (a newer version may have
        written it); an unknown *argument* is refused, where transformers would pass over it in silence.

        Raises:
            TypeError: an unknown argument; names the nearest valid one.
            ValueError: a file of a format that is newer than this code.
        """
        config_dict = cls._in_the_newest_format(config_dict)
        names = {field.name for field in fields(cls)}
        config_dict = {key: value for key, value in config_dict.items() if key not in _NOT_FROM_FILES}
        unknown = [key for key in config_dict if key not in names | LIBRARY_KEYS]
        for key in unknown:
            logger.warning(
                f"the config file's entry {key!r} is unknown to {cls.__name__} of this version of hf_icrl and is "
                f"left out{nearest(key, names)}"
            )
        config_dict = {key: value for key, value in config_dict.items() if key not in unknown}
        if isinstance(config_dict.get("trunk_config"), dict):
            # A saved trunk is whole: nothing is filled in, and what its own class once accepted stays.
            config_dict["trunk_config"] = _saved_trunk(config_dict["trunk_config"])
        return_unused = kwargs.pop("return_unused_kwargs", False)
        config, unused = super().from_dict(config_dict, return_unused_kwargs=True, **kwargs)
        if len(unused) < len(kwargs):
            # Arguments override the file one by one; now they must fit each other too.
            config.validate_format()
            config.validate_spaces()
            config.validate_acting()
        if return_unused:
            # AutoModel gives them on to the model's constructor, which refuses what it does not know.
            return config, unused
        for name in unused:
            if name not in _LOADING_KEYS:
                raise TypeError(f"unknown argument {name!r} of {cls.__name__}{nearest(name, names)}")
        return config

    @classmethod
    def _in_the_newest_format(cls, config_dict):
        """A file's entries as the newest format has them; `ValueError` for a format that is newer still."""
        version, newest = config_dict.get("format_version", 1), cls.newest_format_version
        if type(version) is not int or version < 1:
            raise ValueError(f"the config file says format_version={version!r}; it must be an integer of at least 1")
        if version > newest:
            raise ValueError(
                f"the checkpoint has the format version {version} (it was made by hf_icrl "
                f"{config_dict.get('hf_icrl_version')}), but this version of hf_icrl reads those up to {newest}: upgrade "
                "it (pip install --upgrade hf-icrl). Or load the checkpoint with trust_remote_code=True in a process "
                "that does not import hf_icrl, which runs the code that it carries, if you trust that"
            )
        return {**config_dict, "format_version": newest}


def _saved_trunk(trunk):
    """The trunk config of a file. `ValueError`: it is none that transformers can build."""
    given = {key: value for key, value in trunk.items() if key not in _NOT_FROM_FILES}
    model_type = given.pop("model_type", "llama")
    if not isinstance(model_type, str):
        raise ValueError(
            f"trunk_config: model_type is {model_type!r:.80}; it must be the name of a transformers model"
        )
    try:
        return AutoConfig.for_model(model_type, **given)
    except Exception as error:  # whatever another library's class raises on values of the wrong kind
        raise ValueError(f"the trunk_config of the file cannot be built: {type(error).__name__}: {error}") from error


def check_temperature(temperature):
    """Raise `ValueError` unless `temperature` is a number of at least 0."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature={temperature}; it must be 0 (the most probable action) or more, and finite")


def check_refill_keep(refill_keep, context_length):
    """Raise `ValueError` unless `refill_keep` is None or leaves room for a step in the context."""
    if refill_keep is not None and not 0 <= refill_keep < context_length:
        raise ValueError(
            f"refill_keep={refill_keep} must be at least 0 and less than context_length={context_length}: a refilled "
            "context needs room for new steps"
        )

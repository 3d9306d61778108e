"""Config of Headless-AD models."""

import math
from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_icrl import ICRLPreTrainedConfig
from .space_specs import parse_space
from .trunk_rules import sliding_window_of


@strict
class HeadlessADConfig(ICRLPreTrainedConfig):
    r"""
    Config of a [`HeadlessADModel`]: all arguments of [`ICRLPreTrainedConfig`], and those below.

    `action_space` is that of the training data. The model acts with any number of Discrete actions, in any order.

    Args:
        action_dim (`int`, *optional*, defaults to 64):
            d, the numbers of the random vector that stands for an action. Up to d actions have orthogonal vectors; more
            have nearly orthogonal ones (see `action_embedding`), of which a model can tell the fewer apart, the more
            there are: choose d of at least the largest action set.
        action_embedding (`str`, *optional*, defaults to `"orthonormal"`):
            `"orthonormal"`: orthonormal vectors, uniformly drawn; beyond d actions further independent sets of d
            orthonormal ones, with inner products of standard deviation 1 / sqrt(d) between the sets. `"normal"`:
            independent N(0, 1) numbers (the paper's ablation).
        action_draw (`str`, *optional*, defaults to `"sequence"`):
            In training, `"sequence"`: every window has vectors of its own. `"batch"`: all windows of a batch share
            those of its first window (the paper's, a little cheaper). In a rollout every row has its own, for all of it.
        action_prompt (`bool`, *optional*, defaults to `True`):
            Show the vectors of the available actions, a token each, before the history. Without them (the paper's
            ablation) an action that was never tried is unknown to the model.
        action_loss (`str`, *optional*, defaults to `"info_nce"`):
            `"info_nce"`: cross-entropy of the similarities between prediction and vectors, all other actions being
            negatives. `"mse"`: squared distance between prediction and vector, mean over the d numbers; acting then
            takes near vectors (the paper's ablation).
        loss_mask (`str`, *optional*, defaults to `"exclude"`):
            What `"info_nce"` does with actions that are not available. `"exclude"`: they have probability 0. `"zero"`:
            their similarity counts as 0, a term exp(0) each in the denominator, as the published code does.
        train_temperature (`float`, *optional*, defaults to 1.0):
            Similarities are divided by it in the loss. `temperature` divides them when acting, so the trained
            distribution is that of `temperature=train_temperature`; the paper acts at 1, which is sharper or flatter.
        logit_scale (`str`, *optional*, defaults to `"constant"`):
            `"log_actions"`: similarities are multiplied by ln n, n >= 2 being the number of available actions, in the
            loss and when acting. What is there to be told apart grows with n: with a constant scale (the paper's) the
            many actions of a large set together draw probability away from the best ones, so that a larger set wants a
            lower temperature than that which was chosen on smaller ones. Ours, after the softmax of Nakanishi 2025
            (arXiv:2501.19399), which does so for attention.

        prompt_capacity (`int`, *optional*):
            The number of actions up to which a larger prompt draws more attention. Where there are n > c =
            `prompt_capacity`, each token of the prompt counts c / n times, so that the prompt as a whole draws no more
            attention than one of c tokens alike. Set to the largest number of actions in training it changes nothing
            there; with more actions it keeps the history from being drowned, which some trained models do not survive:
            they explore for ever. None: no bound (the paper's). Ours.

    Example:

    ```python
    >>> from hf_icrl import HeadlessADConfig, HeadlessADModel

    >>> config = HeadlessADConfig(
    ...     observation_space={"type": "Discrete", "n": 1},
    ...     action_space={"type": "Discrete", "n": 20},
    ...     context_length=300,
    ... )
    >>> model = HeadlessADModel(config)
    >>> state = model.init_rollout(100, available_actions=np.ones((100, 50), bool))  # 50 arms, never seen in training
    ```
    """

    model_type = "hf_icrl_headless_ad"

    action_dim: int = 64
    action_embedding: Literal["orthonormal", "normal"] = "orthonormal"
    action_draw: Literal["sequence", "batch"] = "sequence"
    action_prompt: bool = True
    action_loss: Literal["info_nce", "mse"] = "info_nce"
    loss_mask: Literal["exclude", "zero"] = "exclude"
    train_temperature: float | int = 1.0
    logit_scale: Literal["constant", "log_actions"] = "constant"
    prompt_capacity: int | None = None

    @property
    def reads_action_sets(self):
        """The model reads which actions there are: `available_actions`, `action_seeds`."""
        return True

    def validate_spaces(self):
        """The spaces are ones that the embedding and the head can handle."""
        action = parse_space(self.action_space, "action_space")
        if action.kind != "Discrete":
            raise ValueError(
                f"action_space is {self.action_space}, but Headless-AD chooses among Discrete actions: use "
                "AlgorithmDistillationConfig for others"
            )
        super().validate_spaces()
        if self.action_dim < 1:
            raise ValueError(f"action_dim={self.action_dim}; it must be at least 1")
        if not 0 < self.train_temperature < math.inf:
            raise ValueError(f"train_temperature={self.train_temperature}; it must be above 0 and finite")
        if self.prompt_capacity is not None:
            if self.prompt_capacity < 1:
                raise ValueError(f"prompt_capacity={self.prompt_capacity}; it must be at least 1, or None")
            if not self.action_prompt:
                raise ValueError(
                    f"prompt_capacity={self.prompt_capacity} was given with action_prompt=False, where there is no prompt "
                    "to bound: leave it out"
                )
        unread = {"loss_mask": "exclude", "train_temperature": 1.0} if self.action_loss == "mse" else {}
        for name, default in unread.items():
            if getattr(self, name) != default:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} was given with action_loss='mse', which does not read it: leave it "
                    "out, or use action_loss='info_nce'"
                )
        if self.label_smoothing:
            raise ValueError(
                f"label_smoothing={self.label_smoothing}, but the contrastive loss of Headless-AD has none: leave it out"
            )

    @property
    def num_positions(self):
        """The positions of one full context; all tokens of the prompt share one of their own."""
        return super().num_positions + int(self.action_prompt)

    def check_trunk(self, overflow):
        """Raise `ValueError` if the trunk's attention or positions do not fit this overflow policy and the prompt."""
        if self.action_prompt:
            if overflow == "slide":
                raise ValueError(
                    "overflow='slide' would let the prompt of the actions slide out of the context: use "
                    "overflow='refill', or action_prompt=False"
                )
            if (window := sliding_window_of(self.trunk_config)) is not None:
                raise ValueError(
                    f"the trunk's sliding window of {window} tokens would hide the prompt of the actions from later "
                    "steps: set trunk_config.sliding_window to null, or use action_prompt=False"
                )
        super().check_trunk(overflow)


__all__ = ["HeadlessADConfig"]

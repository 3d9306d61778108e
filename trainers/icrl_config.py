"""The arguments of a training run."""

import sys
from dataclasses import dataclass, field

from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy, SchedulerType
from transformers.utils.import_utils import is_in_notebook

from hf_icrl.histories.weighting import WEIGHTINGS
from hf_icrl.naming import check_names


@dataclass
class ICRLConfig(TrainingArguments):
    """`transformers.TrainingArguments` with defaults for windows of learning histories, and in-context evaluation.

    What differs from the parent's defaults, and why:

    * `train_sampling_strategy="sequential"` and `num_train_epochs=1`: window `i` of `HistoryWindows` is already a
      random one, a pure function of `(seed, i)`, and its virtual length covers the whole run. Shuffling would cost
      time and add nothing; one epoch leaves nothing to restore.
    * `dataloader_num_workers=0` (the parent's default) is kept on purpose: a window costs microseconds, handing it
      from one process to another costs more. Memory is pinned only where there is an accelerator.
    * `learning_rate=1e-3`, cosine decay after 5 % of warm-up, batches of 32 windows: for small models trained from
      scratch. Choose a smaller rate to fine-tune a pretrained trunk.
    * `save_total_limit=2`: the newest whole checkpoint and the one before it.
    * Progress bars are quiet without a terminal or a notebook.
    * `ddp_find_unused_parameters=False`: every parameter of our models takes part in every step, so looking for unused
      ones would only cost time (and a warning from every process).
    * `hub_strategy="end"`: one commit at the end. Checkpoints hold pickled optimizer state and stay local.

    Args:
        eval_episodes (`int`): in-context episodes of a rollout in `evaluate()` and in the report.
        eval_seeds (`int`): how many sampling seeds every task is rolled out with.
        eval_last_episodes (`int`): the score is the mean over this many last episodes (over all, if fewer are played).
        loss_weighting (`str`): "none", or how `HistoryWindows(weighting=...)` weighs the loss of each step:
            "improvement" lets the episodes count more in which the source did better than before. `hf-icrl train` makes
            the windows so; who makes their own gives them the same weighting.
        exact_resume (`bool`): refuse, naming every difference, to resume with arguments, a model or data that would
            not end with the same weights as an uninterrupted run. `False` turns the refusal into a warning.

    Raises:
        ValueError: a count below one, an unknown weighting, or a combination that cannot keep its promise (`exact_resume` with
            `ignore_data_skip`; a `hub_strategy` that publishes checkpoints).
    """

    num_train_epochs: float = field(default=1.0, metadata={"help": "Passes over the windows; one covers the run."})
    train_sampling_strategy: str = field(
        default="sequential", metadata={"help": "Windows are random already: take them in order."}
    )
    per_device_train_batch_size: int = field(default=32, metadata={"help": "Windows per device and step."})
    per_device_eval_batch_size: int = field(default=32, metadata={"help": "Windows per device in evaluation."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Peak learning rate."})
    lr_scheduler_type: SchedulerType | str = field(default="cosine", metadata={"help": "Learning-rate schedule."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Warm-up: steps, or below 1 a share of the run."})
    logging_steps: float = field(default=100, metadata={"help": "Log every so many steps, or a share of the run."})
    save_total_limit: int | None = field(default=2, metadata={"help": "How many checkpoints are kept."})
    ddp_find_unused_parameters: bool | None = field(
        default=False, metadata={"help": "Whether DDP looks, at every step, for parameters that took no part."}
    )
    hub_strategy: HubStrategy | str = field(default="end", metadata={"help": "Push once, at the end."})

    eval_episodes: int = field(default=100, metadata={"help": "In-context episodes per rollout."})
    eval_seeds: int = field(default=10, metadata={"help": "Sampling seeds per task."})
    eval_last_episodes: int = field(default=5, metadata={"help": "Episodes at the end that the score averages."})
    loss_weighting: str = field(
        default="none", metadata={"help": "How the loss of each step is weighted: none or improvement."}
    )
    exact_resume: bool = field(
        default=True, metadata={"help": "Refuse to resume with what would change the final weights."}
    )

    def __post_init__(self):
        if self.disable_tqdm is None and not sys.stderr.isatty() and not is_in_notebook():
            self.disable_tqdm = True
        super().__post_init__()
        for name in ("eval_episodes", "eval_seeds", "eval_last_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        check_names([self.loss_weighting], ("none", *WEIGHTINGS), "loss_weighting")
        if self.ignore_data_skip and self.exact_resume:
            raise ValueError(
                "ignore_data_skip=True repeats the first windows after a resume, so exact_resume=True cannot be "
                "kept; set one of them to False"
            )
        if self.push_to_hub and self.hub_strategy != HubStrategy.END:
            raise ValueError(
                f"hub_strategy is {self.hub_strategy.value!r}, which publishes checkpoints with pickled files; use "
                "'end': one commit with safetensors only"
            )
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False

    def num_windows_for_max_steps(self):
        """How many windows `max_steps` optimizer steps read: the `num_windows` for `HistoryWindows`.

        Steps x windows per device x accumulation x processes, so that the run is exactly one pass.

        Raises:
            ValueError: `max_steps` is not set.
        """
        if self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}; set how many optimizer steps to train for")
        return self.max_steps * self.train_batch_size * self.gradient_accumulation_steps * self.world_size

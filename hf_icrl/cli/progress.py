"""How a training run speaks: a progress bar with the loss in a terminal, short lines without one."""

from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback

from hf_icrl.cli.common import say


class _LossInBar(ProgressCallback):
    """The loss stands in the progress bar instead of in a dict printed above it."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.training_bar is not None and logs and "loss" in logs:
            self.training_bar.set_postfix(loss=f"{logs['loss']:.3f}")


class _LogLines(TrainerCallback):
    """One line every `logging_steps`: step, loss, learning rate."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            width = len(str(state.max_steps))
            say(
                f"  step {state.global_step:>{width}}/{state.max_steps}  loss {logs['loss']:.4f}  "
                f"learning rate {logs['learning_rate']:.1e}"
            )


def speak_plainly(trainer):
    """Replace the trainer's own progress output, which prints Python dicts."""
    quiet = trainer.args.disable_tqdm
    trainer.remove_callback(PrinterCallback if quiet else ProgressCallback)
    trainer.add_callback(_LogLines() if quiet else _LossInBar())

"""How a training run speaks: a progress bar with the loss in a terminal, short lines without one."""

from transformers.trainer_callback import PrinterCallback, ProgressCallback

from hf_icrl.cli.common import say


class _PlainProgress(ProgressCallback):
    """Without Python dicts: in a terminal the loss stands in the bar, else there is one line every `logging_steps`.

    Attributes:
        first_step (`int`): the optimiser step at which this run began; not 0 if it goes on from a checkpoint.
    """

    first_step = 0

    def on_train_begin(self, args, state, control, **kwargs):
        self.first_step = state.global_step
        if state.global_step:
            say(f"going on from step {state.global_step} of {state.max_steps}")
        if not args.disable_tqdm:
            super().on_train_begin(args, state, control, **kwargs)

    def on_step_end(self, args, state, control, **kwargs):
        if not args.disable_tqdm:
            super().on_step_end(args, state, control, **kwargs)

    def on_train_end(self, args, state, control, **kwargs):
        if not args.disable_tqdm:
            super().on_train_end(args, state, control, **kwargs)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **kwargs):
        if not args.disable_tqdm:
            super().on_prediction_step(args, state, control, eval_dataloader=eval_dataloader, **kwargs)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not logs or "loss" not in logs:
            return
        if self.training_bar is not None:
            self.training_bar.set_postfix(loss=f"{logs['loss']:.3f}")
        elif args.disable_tqdm:
            width = len(str(state.max_steps))
            say(
                f"  step {state.global_step:>{width}}/{state.max_steps}  loss {logs['loss']:.4f}  "
                f"learning rate {logs['learning_rate']:.1e}"
            )


def speak_plainly(trainer):
    """Replace the trainer's own progress output, which prints Python dicts; returns the callback."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    progress = _PlainProgress()
    trainer.add_callback(progress)
    return progress

"""`ICRLTrainer`: transformers' `Trainer` plus in-context evaluation, whole checkpoints and exact resumption."""

import logging
import os
import shutil
from pathlib import Path

from accelerate.utils import broadcast_object_list
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from hf_icrl.files import check_writable
from hf_icrl.histories import write_info
from hf_icrl.quiet import progress_bars
from hf_icrl.tasks import task_key
from hf_icrl.trainers import checkpoints
from hf_icrl.trainers.icrl_config import ICRLConfig
from hf_icrl.trainers.publishing import in_context_metrics, move_model_files, training_data
from hf_icrl.trainers.random_state import untouched_random_state
from hf_icrl.trainers.run_identity import check_same_run, describe_run

logger = logging.getLogger(__name__)


class ICRLTrainer(Trainer):
    """Trains a sequence model on windows of learning histories.

    The loss is the model's and the sampling is the dataset's; this class adds to `transformers.Trainer`:

    * **In-context evaluation.** With `eval_tasks`, `evaluate()` rolls the model out on them, with or without an
      `eval_dataset`, and its metrics have `eval_normalized_return` and `eval_worst_task_return` (0 is the random
      policy, 1 the oracle), `eval_return` and `eval_first_episode_return`. They are logged, and
      `metric_for_best_model` can name them. Evaluation touches no random stream that training uses, so its schedule
      does not change the trained weights.
    * **The report.** With `report_tasks`, the end of `train()` writes the finished model, `report.json`,
      `learning_curve.png`, `replay.mp4` and the model card `README.md` into `output_dir`.
    * **Whole checkpoints.** A checkpoint becomes visible by one rename, with a manifest of its files.
      `train(resume_from_checkpoint=True)` takes the newest whole one and warns, by name, about each torn one that it
      passed over; with none at all it starts from the beginning, which ends with the same weights.
    * **Exact resumption.** A run that was killed and resumed ends with the same bits as an uninterrupted one.
      Resuming with other arguments, another model or other data is refused, naming the difference
      (`ICRLConfig.exact_resume`).
    * **No pickle in what is published.** `save_model` and `push_to_hub` write safetensors and JSON only;
      `checkpoint-*` folders keep transformers' own formats and stay local.

    Args:
        model (`PreTrainedModel` or `PeftModel`, *optional*), args (`ICRLConfig`), train_dataset, eval_dataset,
        data_collator, processing_class, model_init, compute_loss_func, compute_metrics, callbacks, optimizers,
        optimizer_cls_and_kwargs, preprocess_logits_for_metrics:
            as in `transformers.Trainer`.
        eval_family (task family, *optional*):
            where the tasks come from, `hf_icrl.task_family(...)`. Required with `eval_tasks` or `report_tasks`.
        eval_tasks (`list[dict]`, *optional*):
            tasks for `evaluate()`. Whatever is chosen by its metrics is chosen on these tasks, so use validation
            tasks, not the held-out ones.
        report_tasks (`list[dict]`, *optional*):
            held-out tasks for the report at the end, which nothing is chosen on.
        trained_on (`tuple[str, dict]`, *optional*):
            where the training data come from (a folder or a Hub id) and the content of their `history_info.json`, for
            the report, the card and the record beside the weights. By default that of the folder of the
            `train_dataset`, if it is one that `collect` wrote.

    Raises:
        ValueError: tasks without a family; `args` that are no `ICRLConfig`; a `loss_weighting` that the windows do not
            have; a report on tasks that the model is chosen on.
        OSError: `output_dir` cannot be written.
    """

    def __init__(
        self,
        model=None,
        args=None,
        data_collator=None,
        train_dataset=None,
        eval_dataset=None,
        processing_class=None,
        model_init=None,
        compute_loss_func=None,
        compute_metrics=None,
        callbacks=None,
        optimizers=(None, None),
        optimizer_cls_and_kwargs=None,
        preprocess_logits_for_metrics=None,
        *,
        eval_family=None,
        eval_tasks=None,
        report_tasks=None,
        trained_on=None,
    ):
        if not isinstance(args, ICRLConfig):
            raise ValueError(f"args is a {type(args).__name__}; give an hf_icrl.ICRLConfig(output_dir=...)")
        if (eval_tasks or report_tasks) and eval_family is None:
            raise ValueError(
                f"{len(eval_tasks or report_tasks)} tasks were given but no eval_family; give the family they belong "
                "to: eval_family=hf_icrl.task_family(...)"
            )
        chosen_on = {task_key(task) for task in eval_tasks or ()}
        in_both = [task for task in report_tasks or () if task_key(task) in chosen_on]
        if in_both and args.metric_for_best_model is not None:
            raise ValueError(
                f"the task {in_both[0]} is in eval_tasks, on which metric_for_best_model="
                f"{args.metric_for_best_model!r} chooses the model, and in report_tasks, which nothing may be chosen on"
            )
        if args.loss_weighting != "none" and getattr(train_dataset, "weighting", None) != args.loss_weighting:
            raise ValueError(
                f"loss_weighting is {args.loss_weighting!r}, but the train_dataset gives no such weights: make it with "
                f"HistoryWindows(..., weighting={args.loss_weighting!r}), or leave loss_weighting out"
            )
        if args.should_save:
            check_writable(args.output_dir)
        self.eval_family = eval_family
        self.eval_tasks = list(eval_tasks or ())
        self.report_tasks = list(report_tasks or ())
        self._trained_on = trained_on or training_data(train_dataset)
        self._report = None  # of the finished model, for the card
        self._run = None  # what this run is: `describe_run`
        self._checkpoint_parent = None  # where a checkpoint is being written, instead of output_dir
        self._in_context_metrics = {}  # waiting to be logged together with those of an eval_dataset
        super().__init__(
            model=model,
            args=args,
            data_collator=data_collator,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            model_init=model_init,
            compute_loss_func=compute_loss_func,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
        )

    def _validate_args(self):
        if self.eval_dataset is None and self.eval_tasks:
            # Trainer asks for an eval_dataset as soon as there is an eval_strategy; here the tasks are enough.
            self.eval_dataset = ()
            try:
                super()._validate_args()
            finally:
                self.eval_dataset = None
        else:
            super()._validate_args()

    # ---- Training and resuming ----

    def train(self, resume_from_checkpoint=None, trial=None, ignore_keys_for_eval=None):
        """Train, from the beginning or from a checkpoint, and write the report if there are `report_tasks`.

        Args:
            resume_from_checkpoint (`bool` or `str`, *optional*): `True` for the newest whole checkpoint in
                `output_dir` (the beginning, if there is none), or the folder of one; default
                `args.resume_from_checkpoint`.
            trial, ignore_keys_for_eval: as in `transformers.Trainer.train`.

        Returns:
            `TrainOutput`.

        Raises:
            ValueError: the checkpoint is torn, or of a run with other arguments, model or data.
            FileExistsError: there are checkpoints in `output_dir` but nothing was said about resuming.
        """
        if resume_from_checkpoint is None:
            resume_from_checkpoint = self.args.resume_from_checkpoint
        with untouched_random_state(self.args.device):
            self._run = describe_run(self.args, self.model, self.train_dataset)
        checkpoint = self._on_main_process(lambda: self._find_checkpoint(resume_from_checkpoint, trial))
        output = super().train(checkpoint, trial=trial, ignore_keys_for_eval=ignore_keys_for_eval)
        if self.report_tasks and trial is None:
            self._finish()
        return output

    def _find_checkpoint(self, requested, trial):
        """The folder to resume from, or None for the beginning."""
        run_dir = self._get_output_dir(trial)
        checkpoints.remove_partial_folders(run_dir)
        present = checkpoints.checkpoints_in(run_dir)
        if not requested:
            if present and self.args.save_strategy != SaveStrategy.NO:
                raise FileExistsError(
                    f"{run_dir} holds {present[0][1].name} of an earlier run, which would be mixed up with the "
                    "checkpoints of this one: go on with train(resume_from_checkpoint=True), choose another "
                    "output_dir, or remove the old checkpoints"
                )
            return None
        if requested is True or str(requested).lower() == "true":
            found = checkpoints.last_whole_checkpoint(run_dir, self.args.world_size)
            if found is None:
                if present:
                    logger.warning("there is no whole checkpoint in %s: starting from the beginning", run_dir)
                return None
        else:
            found = os.fspath(requested)
            fault = checkpoints.checkpoint_fault(found, self.args.world_size)
            if fault is not None:
                raise ValueError(
                    f"cannot resume from {found}: {fault}. resume_from_checkpoint=True takes the newest whole "
                    "checkpoint in output_dir"
                )
        manifest = checkpoints.read_manifest(found)
        if manifest is not None:
            check_same_run(manifest["run"], self._run, found, exact=self.args.exact_resume)
        return found

    def _on_main_process(self, work):
        """The result, or the exception, of `work()` on the main process, on every process."""
        if self.args.world_size == 1:
            return work()
        outcome = [None, None]
        if self.is_world_process_zero():
            try:
                outcome[0] = work()
            except Exception as error:  # whatever it is, the other processes wait for an answer
                outcome[1] = error
        broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]

    # ---- Whole checkpoints ----

    def _get_output_dir(self, trial):
        return self._checkpoint_parent or super()._get_output_dir(trial)

    def _save_checkpoint(self, model, trial):
        """Let `Trainer` write the checkpoint into a partial folder, then seal it and rename it."""
        run_dir = Path(self._get_output_dir(trial))
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        partial = checkpoints.partial_folder(run_dir, self.state.global_step)
        final, written = run_dir / name, partial / name
        if self.is_local_process_zero():
            shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._checkpoint_parent = str(partial)
        try:
            with checkpoints.explained_write_errors(final), progress_bars(not self.args.disable_tqdm):
                super()._save_checkpoint(model, trial)
                self._checkpoint_parent = None
                # Trainer names the best checkpoint by where it is now.
                if self.state.best_model_checkpoint == str(written):
                    self.state.best_model_checkpoint = str(final)
                    if self.args.should_save:
                        self.state.save_to_json(str(written / TRAINER_STATE_NAME))
                self.accelerator.wait_for_everyone()
                if self.is_world_process_zero():
                    checkpoints.complete_checkpoint(written, final, self._run)
                self.accelerator.wait_for_everyone()
                # On machines that do not share the folder, each has its own part of the checkpoint.
                if self.is_local_process_zero() and written.is_dir():
                    checkpoints.complete_checkpoint(written, final, self._run)
        except BaseException:
            self._checkpoint_parent = None
            shutil.rmtree(partial, ignore_errors=True)
            raise
        if self.args.should_save:
            keep = {final}
            if self.state.best_model_checkpoint is not None:
                keep.add(Path(self.state.best_model_checkpoint))
            checkpoints.rotate_checkpoints(run_dir, self.args.save_total_limit, keep)

    # ---- In-context evaluation ----

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        """Roll out on `eval_tasks` and compute the loss on the `eval_dataset`, whichever of them there is.

        Args:
            eval_dataset, ignore_keys, metric_key_prefix: as in `transformers.Trainer.evaluate`.

        Returns:
            `dict[str, float]`: the metrics, also logged; see the class.
        """
        with untouched_random_state(self.args.device):
            # Trainer calls this again, with a name, for every dataset of a dict: the rollouts are done once.
            if self.eval_tasks and not isinstance(eval_dataset, str):
                report = self.in_context_report(self.eval_tasks, "validation")
                self._in_context_metrics = self._on_main_process(lambda: in_context_metrics(report, metric_key_prefix))
            if eval_dataset is not None or self.eval_dataset is not None or not self.eval_tasks:
                return super().evaluate(eval_dataset, ignore_keys=ignore_keys, metric_key_prefix=metric_key_prefix)
            metrics, self._in_context_metrics = self._in_context_metrics, {}
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    def evaluation_loop(
        self, dataloader, description, prediction_loss_only=None, ignore_keys=None, metric_key_prefix="eval"
    ):
        # Here, because what `evaluation_loop` returns is logged and reaches the callbacks (early stopping).
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        output.metrics.update(self._in_context_metrics)
        self._in_context_metrics = {}
        return output

    def in_context_report(self, tasks, evaluation_set="held_out"):
        """Roll the current model out on `tasks`, weights frozen, as `args.eval_*` say.

        With several processes each of them does the same rollouts (a sharded model needs them all, and a process that
        waits for another saves nothing), and the first one's figures count.

        Args:
            tasks (`list[dict]`): tasks of `eval_family`.
            evaluation_set (`str`): what these tasks are, for the report: "held_out", "validation" or "train".

        Returns:
            [`~hf_icrl.rollouts.Report`].
        """
        from hf_icrl.rollouts import evaluate

        return evaluate(
            self.accelerator.unwrap_model(self.model),
            self.eval_family,
            tasks,
            episodes=self.args.eval_episodes,
            seeds=self.args.eval_seeds,
            seed=self.args.seed,
            last_episodes=self.args.eval_last_episodes,
            evaluation_set=evaluation_set,
            dataset=self._trained_on[0],
            progress=not self.args.disable_tqdm and self.is_world_process_zero(),
        )

    # ---- What is published ----

    def save_model(self, output_dir=None, _internal_call=False):
        """Write the model into `output_dir`, file by whole file, without `training_args.bin`, which is a pickle.

        With it goes the record of what it was trained on (`history_info.json`), if the training data have one, so that
        `evaluate` can refuse to call a task held-out that is not.
        """
        if self._checkpoint_parent is not None:  # a checkpoint keeps transformers' formats
            super().save_model(output_dir, _internal_call=True)
            return
        folder = Path(output_dir or self.args.output_dir)
        staging = folder / "_partial-model"
        try:
            with checkpoints.explained_write_errors(folder), progress_bars(not self.args.disable_tqdm):
                super().save_model(str(staging), _internal_call=True)
                if self.args.should_save:
                    record = self._trained_on[1]
                    if record is not None:
                        write_info(staging, record)
                    move_model_files(staging, folder)
        finally:
            if self.args.should_save:
                shutil.rmtree(staging, ignore_errors=True)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save", revision=self.args.hub_revision)

    def _finish(self):
        """The finished model with its report and card in `output_dir`."""
        with untouched_random_state(self.args.device):
            self._report = self.in_context_report(self.report_tasks)
        self.save_model(_internal_call=True)
        if self.is_world_process_zero():
            self._report.values["model"] = self.args.output_dir
            self._report.save(self.args.output_dir)
            self.create_model_card()
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self.push_to_hub()

    def push_to_hub(
        self,
        commit_message="End of training",
        blocking=True,
        token=None,
        revision=None,
        private=None,
        license=None,
        finetuned_from=None,
        dataset=None,
    ):
        """Publish `output_dir` in one commit: weights, config, code, card, and the report with plot and replay.

        Args:
            commit_message, token, revision, private: see `hf_icrl.push`; what is None is as `args.hub_*` say.
            blocking (`bool`): must be true.
            license, finetuned_from, dataset: see `create_model_card`.

        Returns:
            `huggingface_hub.CommitInfo`.

        Raises:
            ValueError, PushConflict, PushFailed: see `hf_icrl.push`.
        """
        from hf_icrl.pushing import push_model

        if not blocking:
            raise ValueError("push_to_hub(blocking=False) is not offered: the folder must not change while it is read")
        self.callback_handler.on_push_begin(self.args, self.state, self.control)
        options = {
            "token": self.args.hub_token if token is None else token,
            "private": self.args.hub_private_repo if private is None else private,
        }
        if self.hub_model_id is None:
            self.init_hf_repo(**options)
        self.save_model(_internal_call=True)
        self.create_model_card(license=license, finetuned_from=finetuned_from, dataset=dataset)
        options |= {"revision": revision or self.args.hub_revision, "commit_message": commit_message}
        return self._on_main_process(lambda: push_model(self.args.output_dir, self.hub_model_id, **options))

    def create_model_card(self, license=None, finetuned_from=None, dataset=None):
        """Write the model card, `README.md`, into `output_dir`.

        Args:
            license (`str`, *optional*): an identifier that the Hub knows; default the old card's, or apache-2.0.
            finetuned_from (`str`, *optional*): Hub id of the model that this one was fine-tuned from.
            dataset (`str`, *optional*): Hub id of the training data.
        """
        from hf_icrl.model_cards import write_model_card

        if self.is_world_process_zero():
            write_model_card(
                self.args.output_dir,
                report=self._report,
                dataset_info=self._trained_on[1],
                base_model=finetuned_from,
                model_id=self.hub_model_id,
                dataset_id=dataset,
                license=license,
            )

"""Trains in real processes that really are killed; a program, not a test module.

    python runner.py                 reads jobs (one JSON object a line) on stdin, answers each with a line on stdout
    torchrun ... runner.py JOB.json  runs one job in each process

As a server it imports everything once and forks a child for every job, so that a killed run costs a second instead
of ten. Job keys are the parameters of `train`; the answer is `{"exit": code, "result": {...} or null, "stderr": text}`,
with a negative code for a signal.
"""

import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import torch
from datasets import load_from_disk
from peft import LoraConfig, get_peft_model
from transformers import Trainer, TrainerCallback, TrainingArguments

import hf_icrl
from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel, HistoryWindows, ICRLConfig, ICRLTrainer
from hf_icrl.trainers import last_whole_checkpoint

WINDOW = 8  # steps


class Kill(TrainerCallback):
    """SIGKILL at the end of an optimizer step, or (with accumulation) between two micro-batches of the next one."""

    def __init__(self, step, in_substep):
        self.step, self.in_substep = step, in_substep

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step and not self.in_substep:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_substep_end(self, args, state, control, **kwargs):
        if state.global_step == self.step and self.in_substep:
            os.kill(os.getpid(), signal.SIGKILL)


class FileEvents:
    """Counts what this process does to files in a folder (by Python's audit hook), and can kill it at the n-th."""

    EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")

    def __init__(self, folder, kill_at=None):
        self.folder, self.kill_at, self.count = str(folder), kill_at, 0
        sys.addaudithook(self._hook)

    def _hook(self, event, args):
        if event in self.EVENTS and str(args[0]).startswith(self.folder):
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def train(
    dataset,
    output_dir,
    trainer="icrl",
    steps=12,
    dropout=0.2,
    workers=0,
    accumulation=1,
    batch=4,
    resume=None,
    kill_at_step=None,
    kill_in_substep=False,
    kill_at_file_event=None,
    largest_file=None,
    hidden_size=16,
    family=None,
    eval_tasks=None,
    report_tasks=None,
    eval_windows=False,
    lora=False,
    call="train",
    arguments=None,
):
    """Train a tiny model on histories in `dataset`; the result says what came out, and every error that was raised."""
    torch.set_num_threads(1)
    arguments = {
        "output_dir": output_dir,
        "max_steps": steps,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        "dataloader_num_workers": workers,
        "save_steps": 4,
        "logging_steps": 5,
        "learning_rate": 1e-2,
        "use_cpu": True,
        "disable_tqdm": True,
        **(arguments or {}),
    }
    arguments = (ICRLConfig if trainer == "icrl" else TrainingArguments)(**arguments)
    rows = load_from_disk(dataset)
    config = AlgorithmDistillationConfig(
        observation_space={"type": "Discrete", "n": 9},
        action_space={"type": "Discrete", "n": 5},
        context_length=WINDOW,
        trunk_config={
            "model_type": "llama",
            "hidden_size": hidden_size,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "attention_dropout": dropout,
        },
    )

    def new_model():
        model = AlgorithmDistillationModel(config)
        if lora:
            model = get_peft_model(model, LoraConfig(r=2, lora_dropout=0.2, target_modules=["q_proj", "v_proj"]))
        return model

    weighting = getattr(arguments, "loss_weighting", "none")
    options = {
        "model_init": new_model,
        "args": arguments,
        "train_dataset": HistoryWindows(
            rows,
            length=WINDOW,
            num_windows=steps * batch * accumulation * arguments.world_size,
            seed=3,
            weighting=None if weighting == "none" else weighting,
        ),
        "eval_dataset": HistoryWindows(rows, length=WINDOW, num_windows=8, seed=4) if eval_windows else None,
        "callbacks": [Kill(kill_at_step, kill_in_substep)],
    }
    if trainer == "icrl":
        options["eval_family"] = hf_icrl.task_family("dark_room", **family) if family else None
        options["eval_tasks"], options["report_tasks"] = eval_tasks, report_tasks
    trainer = (ICRLTrainer if trainer == "icrl" else Trainer)(**options)
    if largest_file is not None:
        # A full disk without root: the kernel refuses every byte beyond this size.
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    events = FileEvents(output_dir, kill_at_file_event)
    if resume == "last whole":
        resume = last_whole_checkpoint(output_dir, arguments.world_size)
    if call == "train":
        trainer.train(resume_from_checkpoint=resume)
    else:
        getattr(trainer, call)()
    sha = hashlib.sha256()
    for name, value in sorted(trainer.model.state_dict().items()):
        sha.update(name.encode() + value.numpy().tobytes())
    return {
        "weights": sha.hexdigest(),
        "step": trainer.state.global_step,
        "log": trainer.state.log_history,
        "best": trainer.state.best_model_checkpoint,
        "world_size": arguments.world_size,
        "file_events": events.count,
    }


def run(job, result_path):
    """Run a job and write its result, or its error, to `result_path`."""
    try:
        result = train(**job)
    except Exception as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {error}"}
    Path(result_path).write_text(json.dumps(result))


def serve():
    """Answer jobs until stdin ends; each runs in a forked child of its own."""
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            result, errors = Path(folder, "result.json"), Path(folder, "stderr")
            child = os.fork()
            if child == 0:
                output = os.open(errors, os.O_WRONLY | os.O_CREAT)
                os.dup2(output, 1)
                os.dup2(output, 2)
                run(json.loads(line), result)
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(0)
            _, status = os.waitpid(child, 0)
            answer = {
                "exit": os.waitstatus_to_exitcode(status),
                "result": json.loads(result.read_text()) if result.is_file() else None,
                "stderr": errors.read_text(errors="replace"),
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        job = json.loads(Path(sys.argv[1]).read_text())
        kill_rank = job.pop("kill_rank", None)
        rank = os.environ["RANK"]
        if kill_rank is not None and rank != str(kill_rank):
            job["kill_at_step"] = None
        run(job, f"{sys.argv[1]}.result-{rank}")
    else:
        serve()

"""Tiny learning histories, and a server that trains on them in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset

import hf_icrl
from hf_icrl import task_family
from hf_icrl.histories import episodes_table, history_features
from hf_icrl.sources import make_source

FAMILY = {"size": 3, "horizon": 4}
EPISODES = 6


def _environment():
    """The environment of child processes: `hf_icrl` comes from where it was imported here, installed or not."""
    root = str(Path(hf_icrl.__file__).parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}


def _write_histories(folder, seed):
    """Noise-curriculum histories of a 3x3 DarkRoom, one a goal, as `datasets.load_from_disk` opens them."""
    family = task_family("dark_room", **FAMILY)
    tasks = family.tasks()
    batch = make_source("noise_curriculum").generate(family, tasks, list(range(len(tasks))), EPISODES, seed=seed)
    envs = family.make_vec(tasks[:1])
    features = history_features(envs.single_observation_space, envs.single_action_space, tasks[0])
    table = episodes_table(batch, features, env_id=family.env_id, source="noise_curriculum", split="train")
    Dataset(table).save_to_disk(folder)
    return str(folder)


@pytest.fixture(scope="session")
def histories_folder(tmp_path_factory):
    return _write_histories(tmp_path_factory.mktemp("histories") / "dataset", seed=0)


@pytest.fixture(scope="session")
def other_histories_folder(tmp_path_factory):
    return _write_histories(tmp_path_factory.mktemp("histories") / "other", seed=1)


class Runner:
    """Trains in a process of its own: `runner(output_dir=..., steps=12, ...)`, see `runner.py`."""

    program = Path(__file__).with_name("runner.py")

    def __init__(self, dataset, scratch):
        self.dataset = dataset
        self.scratch = scratch
        self.references = {}
        self.process = subprocess.Popen(
            [sys.executable, str(self.program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(),
        )

    def __call__(self, **job):
        job = {"dataset": self.dataset, **job, "output_dir": str(job["output_dir"])}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def finished(self, **job):
        """The answer to a job that must end by itself, without an error."""
        answer = self(**job)
        assert answer["exit"] == 0, answer["stderr"]
        assert "error" not in answer["result"], answer["stderr"]
        return answer

    def result(self, **job):
        """The result of a job that must end by itself, without an error."""
        return self.finished(**job)["result"]

    def killed(self, **job):
        """Run a job that must be ended by SIGKILL."""
        answer = self(**job)
        assert answer["exit"] == -9, answer["stderr"]

    def error(self, **job):
        """The text of the error that a job must raise."""
        answer = self(**job)
        assert answer["exit"] == 0, answer["stderr"]
        assert "error" in answer["result"], answer["result"]
        return answer["result"]["error"]

    def uninterrupted(self, **job):
        """The final weights (as a hash) of the job without any interruption; computed once a session."""
        key = json.dumps(job, sort_keys=True)
        if key not in self.references:
            folder = self.scratch / f"uninterrupted-{len(self.references)}"
            self.references[key] = self.result(output_dir=folder, **job)["weights"]
        return self.references[key]

    def torchrun(self, output_dir, nproc, folder, **job):
        """Run a job under torchrun; returns (exit code, results by rank, everything printed)."""
        path = folder / "job.json"
        path.write_text(json.dumps({"dataset": self.dataset, "output_dir": str(output_dir), **job}))
        for old in folder.glob("job.json.result-*"):
            old.unlink()
        command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(nproc)]
        done = subprocess.run(
            [sys.executable, *command, str(self.program), str(path)],
            env={**_environment(), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        results = {p.suffix: json.loads(p.read_text()) for p in sorted(folder.glob("job.json.result-*"))}
        return done.returncode, list(results.values()), done.stdout + done.stderr

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def runner(histories_folder, tmp_path_factory):
    runner = Runner(histories_folder, tmp_path_factory.mktemp("uninterrupted"))
    yield runner
    runner.close()

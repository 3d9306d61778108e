"""Models acting in environments, and what is measured and shown of it.

`rollout` lets a model act; `evaluate` rolls it out on many tasks and seeds and returns a `Report` (report.json,
learning_curve.png, replay.mp4); `evaluate_sets` does so on several sets of tasks in one batch. Drawing libraries are imported only when something is drawn.
"""

from hf_icrl.rollouts.acting import Rollout, rollout
from hf_icrl.rollouts.acting_state import ActingState, load_state
from hf_icrl.rollouts.evaluation import evaluate
from hf_icrl.rollouts.evaluation_sets import evaluate_sets
from hf_icrl.rollouts.report import Report
from hf_icrl.rollouts.set_reports import SetReports

__all__ = ["ActingState", "Report", "Rollout", "SetReports", "evaluate", "evaluate_sets", "load_state", "rollout"]

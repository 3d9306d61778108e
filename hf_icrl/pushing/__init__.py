"""To the Hub: models and learning histories with their cards, each in one commit."""

from hf_icrl.pushing.commits import PushConflict, PushFailed
from hf_icrl.pushing.push import push, push_histories, push_model

__all__ = ["PushConflict", "PushFailed", "push", "push_histories", "push_model"]

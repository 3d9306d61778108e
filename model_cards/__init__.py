"""Cards: the README.md of a model folder and of a dataset folder, with the metadata that the Hub reads."""

from hf_icrl.model_cards.dataset_card import write_dataset_card
from hf_icrl.model_cards.model_card import write_model_card
from hf_icrl.model_cards.ours import check_dataset_card_place, check_model_card_place
from hf_icrl.model_cards.snippets import usage_snippet

__all__ = [
    "check_dataset_card_place",
    "check_model_card_place",
    "usage_snippet",
    "write_dataset_card",
    "write_model_card",
]

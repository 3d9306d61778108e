"""Whose README.md is it? A card replaces a card of ours, never what somebody wrote."""

from pathlib import Path

from hf_icrl.untrusted import MAX_YAML_BYTES, parse_yaml, read_text

CARD_FILE = "README.md"


def check_model_card_place(folder):
    """Raise `ValueError` if `folder` has a README.md that is no model card of ours (`library_name: hf-icrl`)."""
    _check(folder, lambda metadata: metadata.get("library_name") == "hf-icrl", "model card")


def check_dataset_card_place(folder):
    """Raise `ValueError` if `folder` has a README.md that is no dataset card of ours (by its tags)."""
    _check(folder, lambda metadata: {"hf-icrl", "learning-histories"} <= _tags(metadata), "dataset card")


def _check(folder, is_ours, what):
    path = Path(folder) / CARD_FILE
    if path.exists() and not is_ours(card_metadata(path)):
        raise ValueError(
            f"{path} was not written by hf-icrl, and the {what} would replace it: move it away, or write into another "
            "folder"
        )


def card_metadata(path):
    """The YAML block at the top of a card as a dict; empty if there is no card, or none in it."""
    try:
        opening, metadata, _ = read_text(path, MAX_YAML_BYTES).split("---\n", 2)
        metadata = parse_yaml(metadata, path) if not opening.strip("\ufeff\n ") else None
    except (OSError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _tags(metadata):
    tags = metadata.get("tags")
    return {str(tag) for tag in tags} if isinstance(tags, list) else set()

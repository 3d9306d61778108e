"""Cards for the Hub: the README.md of a folder as it is, but loading from the Hub and with the Hub's metadata.

A card that somebody wrote into stays theirs: only the metadata that the Hub needs and the code that loads are changed.
"""

import re
from pathlib import Path

from huggingface_hub import DatasetCard, ModelCard

from hf_icrl.histories import read_info
from hf_icrl.histories.info import INFO_FILENAME
from hf_icrl.model_cards import write_dataset_card, write_model_card
from hf_icrl.model_cards.dataset_card import size_category
from hf_icrl.model_cards.ours import CARD_FILE
from hf_icrl.model_cards.rendering import literal, render
from hf_icrl.model_folder import RECIPE_FILE
from hf_icrl.rollouts.report import REPORT_FILE
from hf_icrl.untrusted import MAX_YAML_BYTES, parse_yaml, read_text

_FROM_PRETRAINED = re.compile(r'(AutoModel\.from_pretrained\()"(?:[^"\\\n]|\\.)*"')
_FROM_DISK = re.compile(r'load_from_disk\("(?:[^"\\\n]|\\.)*"\)')
# Between these lies what is written anew with every push.
_BEGIN, _END = "<!-- hf_icrl: configurations -->", "<!-- hf_icrl: end -->"


def hub_model_card(folder, repo_id, *, dataset_id=None):
    """The text of the model card for the Hub; one is written into `folder` if there is none."""
    path = Path(folder) / CARD_FILE
    if not path.is_file():
        write_model_card(folder, **_known(folder))
    card = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True)
    if dataset_id is not None:
        card.data.datasets = [dataset_id]
    card.text = _FROM_PRETRAINED.sub(lambda found: found[1] + literal(repo_id), card.text, count=1)
    return str(card)


def hub_histories_card(folder, repo_id, config_name=None):
    """The card of learning histories for the Hub, as a `DatasetCard`; one is written into `folder` if there is none.

    Args:
        folder (`Path`), repo_id (`str`): what is pushed, and where to.
        config_name (`str`, *optional*): the name to load them by.
    """
    path = Path(folder) / CARD_FILE
    info = read_info(folder)
    if not path.is_file():
        write_dataset_card(folder, info)
    card = DatasetCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True)
    names = [part["name"] for part in info.get("mixture", ())]
    load = loading(repo_id, names) if names else loading(repo_id, config_name)
    text = card.text.replace("from datasets import load_from_disk", "from datasets import load_dataset", 1)
    card.text = _FROM_DISK.sub(lambda _: load, text, count=1)
    # They say where the files are here; `describe_files` says where they are there.
    card.data.pop("configs", None)
    card.data.pop("dataset_info", None)
    return card


def describe_files(card, config_name, place, dataset, num_bytes):
    """Say in the card's metadata, for `load_dataset` and the viewer, which files are the rows of one configuration.

    Args:
        card (`DatasetCard`): is changed.
        config_name (`str`): "default" for the only one.
        place (`str`): the folder of its parquet files.
        dataset (`datasets.Dataset`): its rows.
        num_bytes (`int`): of its parquet files.
    """
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    splits = SplitDict({"train": SplitInfo("train", num_bytes=dataset.data.nbytes, num_examples=len(dataset))})
    info = DatasetInfo(
        features=dataset.features, splits=splits, download_size=num_bytes, dataset_size=dataset.data.nbytes
    )
    DatasetInfosDict({config_name: info}).to_dataset_card_data(card.data)
    files = [{"split": "train", "path": f"{place}/train-*.parquet"}]
    MetadataConfigs({config_name: {"data_files": files}}).to_dataset_card_data(card.data)


def configurations_card(old, repo_id, infos, license_of):
    """The card of a repository that holds several learning histories, each by its name.

    Args:
        old (`str`, *optional*): the card that is there. Of it only the table of the configurations is written anew.
        repo_id (`str`): the repository.
        infos (`dict`): name -> what its `history_info.json` says.
        license_of (`DatasetCard`): the card whose metadata a new one gets.

    Returns:
        `DatasetCard`.
    """
    table = render("configurations", infos=infos, repo_id=repo_id, snippet=loading(repo_id, next(iter(infos))))
    table = f"{_BEGIN}\n{table}{_END}"
    size = size_category(sum(info["num_histories"] * info["episodes"] for info in infos.values()))
    if old is None:
        card = DatasetCard(license_of.content)
        card.data.pretty_name = f"Learning histories: {repo_id.rpartition('/')[2]}"
        card.data.size_categories = [size]
        card.text = f"\n# {card.data.pretty_name}\n\n{table}\n"
        return card
    card = DatasetCard(old, ignore_metadata_errors=True)
    card.data.size_categories = [size]
    before, begin, rest = card.text.partition(_BEGIN)
    after = rest.partition(_END)[2] if begin else ""
    card.text = f"{before.rstrip()}\n\n{table}{after or chr(10)}"
    return card


def loading(repo_id, config=None):
    """Python that loads histories from the Hub: a configuration, the only one (None), or a dict of several (a list)."""
    if isinstance(config, list):
        entries = (f"    {literal(name)}: {loading(repo_id, name)},\n" for name in config)
        return "{\n" + "".join(entries) + "}"
    named = "" if config is None else f", {literal(config)}"
    return f'load_dataset({literal(repo_id)}{named}, split="train")'


def _known(folder):
    """What a model's folder says about itself, for its card."""
    folder, known = Path(folder), {}
    if (folder / RECIPE_FILE).is_file():
        path = folder / RECIPE_FILE
        known["recipe"] = parse_yaml(read_text(path, MAX_YAML_BYTES), str(path))
    if (folder / REPORT_FILE).is_file():
        known["report"] = folder / REPORT_FILE
    if (folder / INFO_FILENAME).is_file():
        known["dataset_info"] = read_info(folder)
    return known

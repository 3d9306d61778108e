"""What a repository of learning histories holds: parquet files, cards, and the records from which tasks are rebuilt."""

import re
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

from hf_icrl.histories import load_parts, read_info
from hf_icrl.histories.info import INFO_FILENAME, REQUEST_FILENAME
from hf_icrl.model_cards.ours import CARD_FILE
from hf_icrl.pushing.cards import configurations_card, describe_files, hub_histories_card
from hf_icrl.pushing.commits import explained, patiently, publishable

# Arrow bytes of one parquet file, which is about a third as large.
_SHARD_BYTES = 2**29
# Files of the Arrow folder that mean nothing beside parquet.
_ARROW_FILES = ("*.arrow", "*.parquet", "dataset_info.json", "state.json", "dataset_dict.json", REQUEST_FILENAME)
# What an older push left and would be taken for a part of this one.
_STALE = ("*.parquet", f"*{INFO_FILENAME}", "*learning_curve.png", "*replay.mp4", f"*/{CARD_FILE}")


def histories_files(folder, staging, repo_id, config_name=None, revision=None, token=None):
    """The files to push for the learning histories in `folder`.

    Args:
        folder (`Path`): the histories.
        staging (`Path`): where parquet files are written.
        repo_id, config_name, revision, token: see `push_histories`.

    Returns:
        `(files, stale, parent)`, as `push_files` takes them; `parent` is None where there is no such repository or branch.

    Raises:
        FileNotFoundError, ValueError: see `push_histories`.
    """
    parts, info = load_parts(folder)
    if "mixture" in info and config_name is not None:
        names = ", ".join(part.name for part in parts)
        raise ValueError(f"{folder} is a mixture, whose parts have names already ({names}): leave config_name out")
    if config_name is not None and not re.fullmatch(r"\w[\w.-]*", config_name):
        raise ValueError(f"config_name is {config_name!r}; use letters, digits, _, - and .")
    there = _Remote(repo_id, revision, token)
    there.check_kind(config_name)

    files = {
        name if config_name is None else f"{config_name}/{name}": path
        for name, path in publishable(folder)[0].items()
        if not any(fnmatch(name.rpartition("/")[2], pattern) for pattern in _ARROW_FILES)
    }
    card = hub_histories_card(folder, repo_id, config_name)
    root = card
    if config_name is not None:
        files[f"{config_name}/{CARD_FILE}"] = card.content.encode()
        infos = dict(sorted({**there.infos(), config_name: info}.items()))
        root = configurations_card(there.card(), repo_id, infos, card)
    for part in parts:
        name = part.name or config_name or "default"
        place = part.name or config_name or "data"
        shards = write_parquet(part.dataset, staging / place)
        files.update({f"{place}/{path.name}": path for path in shards})
        describe_files(root, name, place, part.dataset, sum(path.stat().st_size for path in shards))
        if part.name:
            files[f"{place}/{CARD_FILE}"] = hub_histories_card(folder / place, repo_id, part.name).content.encode()
    files[CARD_FILE] = root.content.encode()
    return files, _STALE if config_name is None else (f"{config_name}/*",), there.commit


def write_parquet(dataset, folder):
    """Write `dataset` into `folder` as parquet files named as the Hub names them; returns their paths in order."""
    folder.mkdir(parents=True)
    number = max(1, min(-(-dataset.data.nbytes // _SHARD_BYTES), len(dataset)))
    paths = []
    for index in range(number):
        path = folder / f"train-{index:05d}-of-{number:05d}.parquet"
        dataset.shard(number, index, contiguous=True).to_parquet(path)
        paths.append(path)
    return paths


class _Remote:
    """What the repository holds now, if it is there."""

    def __init__(self, repo_id, revision, token):
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        self.api, self.repo_id = HfApi(token=token, library_name="hf-icrl"), repo_id
        self.commit, self.files = None, []
        with explained(repo_id, "dataset"), suppress(RepositoryNotFoundError, RevisionNotFoundError):
            self.commit = patiently(lambda: self.api.repo_info(repo_id, repo_type="dataset", revision=revision).sha)
            self.files = patiently(
                lambda: self.api.list_repo_files(repo_id, repo_type="dataset", revision=self.commit)
            )

    def check_kind(self, config_name):
        """Raise `ValueError` if the repository holds histories with names and these have none, or the other way round."""
        plain = INFO_FILENAME in self.files
        if config_name is not None and plain:
            raise ValueError(
                f"{self.repo_id} holds learning histories without a name (or a mixture), and config_name={config_name!r} "
                "would stand beside them: push to another repository"
            )
        if config_name is None and not plain and self._names():
            raise ValueError(
                f"{self.repo_id} holds learning histories with the names {', '.join(self._names())}: give these a name, "
                "too, with config_name, or push to another repository"
            )

    def infos(self):
        """Configuration -> its `history_info.json`."""
        return {name: read_info(Path(self._download(f"{name}/{INFO_FILENAME}")).parent) for name in self._names()}

    def card(self):
        """The text of the card, or None."""
        if CARD_FILE not in self.files:
            return None
        return Path(self._download(CARD_FILE)).read_text(encoding="utf-8")

    def _names(self):
        ends = f"/{INFO_FILENAME}"
        return sorted(name.removesuffix(ends) for name in self.files if name.endswith(ends) and name.count("/") == 1)

    def _download(self, name):
        with explained(self.repo_id, "dataset"):
            return self.api.hf_hub_download(self.repo_id, name, repo_type="dataset", revision=self.commit)

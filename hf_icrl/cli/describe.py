"""Say what a dataset of learning histories or a checkpoint is.

  hf-icrl describe runs/quickstart/dataset
  hf-icrl describe runs/quickstart/model
  hf-icrl describe someone/a-model-on-the-hub

Reads only.
"""

from pathlib import Path

from hf_icrl.histories.info import CURVE_FILENAME, INFO_FILENAME
from hf_icrl.model_folder import RECIPE_FILE

USAGE = "PATH_OR_ID"


def add_arguments(parser):
    parser.add_argument(
        "path_or_id", metavar="PATH_OR_ID", help="a folder, or the id of a model or dataset on the Hub"
    )


def run(args):
    folder = Path(args.path_or_id)
    if not folder.is_dir():
        folder = _download(args.path_or_id)
    if (folder / "config.json").is_file():
        rows = _model_rows(folder)
    elif (folder / INFO_FILENAME).is_file():
        rows = _dataset_rows(folder)
    elif (folder / "dataset").is_dir() or (folder / "model").is_dir():
        parts = ", ".join(str(folder / name) for name in ("dataset", "model") if (folder / name).is_dir())
        raise ValueError(f"{folder} is a run folder; describe one of its parts: {parts}")
    else:
        raise ValueError(
            f"{folder} holds neither history_info.json (learning histories) nor config.json (a model); "
            "name the folder that holds one of them"
        )
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}".rstrip())


def _dataset_rows(folder):
    from hf_icrl.histories import describe_histories, load_parts

    parts, info = load_parts(folder)
    rows = describe_histories(folder, info)
    for part in parts:
        schema = part.dataset.data.schema
        name = f"columns of {part.name}" if part.name else "columns"
        for field in schema:
            rows.append((name, f"{field.name}: {field.type}"))
            name = ""
        picture = folder / part.name / CURVE_FILENAME
        if picture.is_file():
            rows.append(("learning curve", picture))
    return rows


def _model_rows(folder):
    from hf_icrl.files import read_json
    from hf_icrl.histories import spec_text
    from hf_icrl.model_folder import count_parameters, load_config
    from hf_icrl.rollouts import Report
    from hf_icrl.shapes import check_shape

    config = load_config(folder)
    if not hasattr(config, "action_space"):
        raise ValueError(
            f"{folder} holds a model of type {config.model_type!r}, which is none of hf_icrl's; load it with transformers"
        )
    trunk, parameters = config.trunk_config, count_parameters(folder)
    rows = [
        ("model", folder),
        ("method", config.model_type.removeprefix("hf_icrl_")),
        ("parameters", "no weights in this folder" if parameters is None else f"{parameters:,}"),
        (
            "trunk",
            f"{trunk.model_type}, {trunk.num_hidden_layers} layer{'s' * (trunk.num_hidden_layers != 1)} of width {trunk.hidden_size}",
        ),
        ("observations, actions", f"{spec_text(config.observation_space)}, {spec_text(config.action_space)}"),
        ("context", f"{config.context_length} environment steps, token layout {config.token_layout}"),
        ("acting", f"temperature {config.temperature}, overflow {config.overflow}"),
        ("made by", f"hf-icrl {config.hf_icrl_version}"),
    ]
    if (folder / RECIPE_FILE).is_file():
        rows.append(("recipe", folder / RECIPE_FILE))
    if (folder / "report.json").is_file():
        report = Report.from_file(folder / "report.json")
        rows.append(("report", folder / "report.json"))
        rows += [("", line) for line in report.table().splitlines()]
    elif (folder / "trainer_state.json").is_file():
        path = folder / "trainer_state.json"
        state = read_json(path, finite=False)  # Trainer writes a loss of NaN as it is
        check_shape(state, {"global_step": int}, str(path))
        rows.append(("training checkpoint", f"step {state['global_step']:,}"))
    return rows


def _download(repo_id):
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    for repo_type in ("model", "dataset"):
        try:
            return Path(snapshot_download(repo_id, repo_type=repo_type))
        except RepositoryNotFoundError:
            continue
        except (HFValidationError, HfHubHTTPError, OSError) as error:
            raise ValueError(
                f"{repo_id} is neither a folder here nor something that can be fetched from the Hub ({error})"
            ) from error
    raise ValueError(f"{repo_id} is neither a folder here nor a model or dataset on the Hub")

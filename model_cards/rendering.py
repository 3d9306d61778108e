"""Fill the card templates."""

import json
from importlib.resources import files

import yaml
from jinja2 import Environment, StrictUndefined

from hf_icrl.redaction import without_tokens


def render(template, **values):
    """The text of `templates/<template>.md.jinja` filled with `values`, access tokens hidden; a missing name is an error."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.filters["yaml"] = to_yaml
    environment.filters["cell"] = cell
    environment.filters["literal"] = literal
    text = (files("hf_icrl.model_cards") / "templates" / f"{template}.md.jinja").read_text(encoding="utf-8")
    return without_tokens(environment.from_string(text).render(**values).rstrip()) + "\n"


def to_yaml(value):
    """YAML for a code block of a card."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()


def cell(value):
    """Text that is safe inside a cell of a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def literal(value):
    """A JSON value as Python code, strings in double quotes as in the rest of the code that is printed."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(entry)}' for key, entry in value.items())}}}"
    return repr(value)

"""Files as values to mutate, and back: a file that is whole on the outside is read further than a torn one."""

import io
import json
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from security.mutation import mutated, mutated_yaml


def value_of(kind, content):
    """The value in the bytes of a file."""
    if kind == "json":
        return json.loads(content)
    if kind == "yaml":
        return yaml.safe_load(content)
    if kind == "bytes":
        return None
    if kind == "safetensors":
        header = json.loads(content[8 : 8 + _header_size(content)])
        # The metadata are strings, some of them JSON again.
        return {"header": header, "model": json.loads(header.get("__metadata__", {}).get("model", "null"))}
    if kind == "parquet":
        return pq.read_table(io.BytesIO(content)).to_pylist()
    return pa.ipc.open_stream(content).read_all().to_pylist()


def mutated_file(kind, value, content, mutations):
    """The bytes of a file with a mutated value, or `None` where the value has no place in such a file.

    Args:
        kind (`str`), value: what `value_of` was given, and gave.
        content (`bytes`): the original file.
        mutations: see `mutated`.
    """
    if kind == "bytes":
        return None
    if kind == "json":
        return json.dumps(mutated(value, mutations)).encode()
    if kind == "yaml":
        return mutated_yaml(value, mutations).encode("utf-8", "surrogatepass")
    value = mutated(value, mutations)
    if kind == "safetensors":
        return _safetensors(value, content)
    try:
        # The types are inferred, as those of a foreign file are its own.
        table = pa.Table.from_pylist(value)
    except (pa.ArrowException, TypeError, ValueError, AttributeError, OverflowError):
        return None
    sink = io.BytesIO()
    try:
        if kind == "parquet":
            pq.write_table(table, sink)
        else:
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
    except (pa.ArrowException, ValueError):
        return None
    return sink.getvalue()


def _safetensors(value, content):
    if not isinstance(value, dict) or not isinstance(value.get("header"), dict):
        return None
    metadata = value["header"].get("__metadata__")
    if isinstance(metadata, dict) and "model" in metadata and "model" in value:
        metadata["model"] = json.dumps(value["model"])
    header = json.dumps(value["header"]).encode()
    return struct.pack("<Q", len(header)) + header + content[8 + _header_size(content) :]


def _header_size(content):
    return struct.unpack("<Q", content[:8])[0]

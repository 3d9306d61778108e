"""Mutations: of values by their structure, of any file by its bytes."""

import json
import math

import yaml

NASTY = (
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**12, 0.5, -1e-300, 1e308),
    *(math.nan, math.inf, -math.inf),
    *(
        "",
        "x",
        " ",
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "a\0b",
        "\ud800",
        "\u00e9\u202e",
        "9" * 5000,
        "x" * 20_000,
    ),
    *(
        "null",
        "NaN",
        "-1",
        "__class__",
        "os.system",
        "evil:Env-v0",
        "subprocess.Popen",
        "file:///etc/passwd",
        "{{ 7*7 }}",
    ),
    *("train", "held_out", "Discrete", "Box", "llama", "gpt2", "pad"),
    *([], {}, [[]], [None], {"": 0}, {"type": "Box", "shape": [2**40], "dtype": "uint8"}, [0] * 300, [[1], [2, 3]]),
    *({"type": "Discrete", "n": 2**62}, {"a": {"b": [1, "c"]}}),
)
CHUNKS = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xff" * 8,
        b"\x7f" * 8,
        b"\0" * 64,
        b"[" * 3000,
        b'{"a":' * 3000,
        b"../",
        b"1" * 5000,
        b"1e999",
    ),
    *(
        b"NaN",
        b"-Infinity",
        b'"\\ud800"',
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"# ",
        b": ",
        b"- ",
        b'"',
        b"}",
        b"]",
    ),
)
YAML_CHUNKS = (
    "!!python/object/apply:os.system ['touch executed']",
    "!!python/name:os.system",
    "&a [*a]",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]",
    "2001-13-99",
    "2001-01-01",
    "!!int ''",
    "!!float x",
    "0b2",
    "1:2:3",
    "? [1, 2]\n: 3",
    "!!binary x",
    "<<: 3",
    "%TAG ! !",
    "--- a\n--- b",
    "[" * 400,
    "!!set {a, b}",
)

STRUCTURAL = ("replace", "replace", "delete", "rename", "nest", "cut", "repeat", "swap")
BYTES = ("flip", "truncate", "cut", "insert", "overwrite")


def drawn(kinds, rng):
    """One to three mutations of `kinds`, each `(what, where, with what)`; `rng` is a `random.Random`."""
    return [(rng.choice(kinds), rng.randrange(10**6), rng.randrange(10**6)) for _ in range(rng.randint(1, 3))]


def mutated(value, mutations):
    """A JSON value with `mutations` applied, each `(what, where, with what)`; the value itself stays."""
    root = [json.loads(json.dumps(value))]
    for what, where, number in mutations:
        places = list(_places(root))
        holder, key = places[where % len(places)]
        old = holder[key]
        if what == "replace":
            holder[key] = json.loads(json.dumps(NASTY[number % len(NASTY)]))
        elif what == "delete" and holder is not root:
            del holder[key]
        elif what == "rename" and isinstance(holder, dict):
            holder[str(NASTY[number % len(NASTY)])] = holder.pop(key)
        elif what == "nest":
            for _ in range((1, 3, 70, 300)[number % 4]):
                old = [old] if number % 2 else {"x": old}
            holder[key] = old
        elif what == "cut" and isinstance(old, (list, str)):
            holder[key] = old[: number % (len(old) + 1)]
        elif what == "repeat" and isinstance(old, list) and old:
            old.append(json.loads(json.dumps(old[number % len(old)])))
        elif what == "swap":
            holder[key] = json.loads(json.dumps(places[number % len(places)][0][places[number % len(places)][1]]))
    return root[0]


def mutated_bytes(content, mutations):
    """`content` with `mutations` applied, each `(what, where, with what)`."""
    content = bytearray(content)
    for what, where, number in mutations:
        at = where % (len(content) + 1)
        if what == "flip" and content:
            content[at % len(content)] ^= 1 << number % 8
        elif what == "truncate":
            del content[at:]
        elif what == "cut":
            del content[at : at + number % 64]
        elif what == "insert":
            content[at:at] = CHUNKS[number % len(CHUNKS)]
        elif what == "overwrite":
            chunk = CHUNKS[number % len(CHUNKS)]
            content[at : at + len(chunk)] = chunk
    return bytes(content)


def mutated_yaml(value, mutations):
    """YAML text of a mutated value, with one of `YAML_CHUNKS` in the place of a value now and then."""
    text = yaml.safe_dump(mutated(value, mutations), sort_keys=False)
    _, where, number = mutations[0]
    if number % 3:
        return text
    lines = text.splitlines()
    at = where % len(lines)
    name, colon, _ = lines[at].partition(":")
    lines[at] = (
        f"{name}: {YAML_CHUNKS[number % len(YAML_CHUNKS)]}" if colon else YAML_CHUNKS[number % len(YAML_CHUNKS)]
    )
    return "\n".join(lines) + "\n"


def _places(root):
    """Every `(holder, key)` in a list or dict and what it holds, to any depth."""
    waiting = [root]
    while waiting:
        holder = waiting.pop()
        keys = holder if isinstance(holder, dict) else range(len(holder))
        for key in list(keys):
            yield holder, key
            if isinstance(holder[key], (list, dict)):
                waiting.append(holder[key])

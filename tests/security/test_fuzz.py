"""Every reader of ours, given damaged and hostile files: a clean result, or an error of ours that says what is wrong."""

import contextlib
import io
import json
import logging
import random
import resource
import shutil
import signal
import time
import traceback
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from security.formats import mutated_file, value_of
from security.mutation import BYTES, STRUCTURAL, drawn, mutated_bytes
from security.readers import READERS

import hf_icrl
from hf_icrl.cli.errors import UsageError

# Inputs of the fastest reader; a reader that costs c times as much gets 1 / c of them, but never fewer than a few.
CI, LONG = 200, 10_000
BATCH = 20
# What a reader may take: its inputs have kilobytes.
SECONDS, MEMORY = 60, 2**32
OURS = Path(hf_icrl.__file__).resolve().parent.parent
COUNTS = {}


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """What is imported is thrown away again; whether it is on the disk by then does not matter here."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_files_are_read_or_refused_in_words(reader, samples, tmp_path):
    fuzz(reader, samples, tmp_path, max(BATCH, CI // reader.cost))


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_very_many_damaged_files_are_read_or_refused_in_words(reader, samples, tmp_path, capsys):
    begin = time.monotonic()
    accepted, refused = fuzz(reader, samples, tmp_path, max(400, LONG // reader.cost), derandomize=False)
    COUNTS[reader.name] = accepted + refused
    with capsys.disabled():
        print(
            f"\n{reader.name}: {accepted + refused:,} inputs, {accepted:,} read, {refused:,} refused, "
            f"{time.monotonic() - begin:.0f} s; {sum(COUNTS.values()):,} in all so far",
            flush=True,
        )


def fuzz(reader, samples, tmp_path, number, derandomize=True):
    """Give `reader` so many mutated files; returns how many it read and how many it refused."""
    source = samples.root / reader.path
    top = Path(reader.path).parts[0]
    original = source.read_bytes()
    value = value_of(reader.kind, original)
    folder = tmp_path / top
    shutil.copytree(samples.root / top, folder)
    target = tmp_path / reader.path
    place = folder if top in ("dataset", "mixture", "model", "minari") else target.parent
    place = target.parent.parent if top == "minari" else place
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".mp4"}
    counts = [0, 0]

    def one(content):
        for path, before in kept.items():
            if not path.is_file() or path.stat().st_size != len(before):
                path.write_bytes(before)
        target.write_bytes(content)
        try:
            with limited():
                reader.read(place, samples)
            counts[0] += 1
        except (ValueError, OSError, UsageError) as error:
            counts[1] += 1
            check_is_ours(error, reader.foreign)
        finally:
            target.write_bytes(original)

    # To draw is dearer than to read, so that what is drawn is the seed of several inputs.
    @settings(
        max_examples=-(-number // BATCH),
        database=None,
        deadline=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64 - 1))
    def some(seed):
        rng = random.Random(seed)
        for _ in range(BATCH):
            content = None
            if rng.random() < 0.75:
                content = mutated_file(reader.kind, value, original, drawn(STRUCTURAL, rng))
            if content is None:
                content = mutated_bytes(original, drawn(BYTES, rng))
            try:
                one(content)
            except BaseException:
                note(f"{reader.name}: {content[:3000]!r}")
                raise

    with quiet():
        some()
    return counts


def check_is_ours(error, foreign):
    """The error is one that a person wrote for a person, not what Python says of itself."""
    assert not isinstance(error, (UnicodeError, json.JSONDecodeError)), repr(error)
    text = str(error)
    assert len(text.split()) >= 4, repr(error)
    if not foreign:
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        assert Path(last).is_relative_to(OURS), f"{last} said: {error!r}"


@contextlib.contextmanager
def limited():
    """End what takes too long, and make what allocates too much a MemoryError."""

    def stop(*_):
        raise AssertionError(f"took more than {SECONDS} s")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def quiet():
    """Warnings about damaged files are meant for people; here there are thousands."""
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)

"""What stands in the files of an offline run of Weights & Biases."""

import json
import pathlib
import struct
from typing import Any


def records(folder):
    """Give the records of the one run in a folder: LevelDB's log, after a header."""
    import wandb
    import wandb.proto.wandb_internal_pb2 as proto

    make_record: Any = proto.Record  # type: ignore[attr-defined] # made at run time
    # finish() comes back before W&B's own process has written all: wait for that.
    wandb.teardown()
    (path,) = pathlib.Path(folder).glob("wandb/offline-run-*/*.wandb")
    content = path.read_bytes()
    at, parts = 7, b""
    while at + 7 <= len(content):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole, or its last part
            yield make_record.FromString(parts)
            parts = b""


def history(folder):
    """Return the lines of the run's history."""
    found = [record.history for record in records(folder) if record.HasField("history")]
    return [nested(line.item) for line in found]


def config(folder):
    found = {}
    for record in records(folder):
        update = record.run.config if record.HasField("run") else record.config
        found |= nested(update.update)
    return found


def nested(items):
    """Return what W&B took apart into single values as it was."""
    found = {}
    for item in items:
        *outer, last = [item.key] if item.key else item.nested_key
        place = found
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return found

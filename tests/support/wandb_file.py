"""Read back what W&B wrote to its offline file."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wandb
from wandb.proto import wandb_internal_pb2

_HEADER, _BLOCK = 7, 32768


@dataclass
class OfflineRun:
    """One run; ``exit_code`` is None if it was never finished."""

    id: str = ""
    project: str = ""
    entity: str = ""
    group: str = ""
    name: str = ""
    notes: str = ""
    host: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    axes: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None


def read_run(file: Path) -> OfflineRun:
    """The run in a ``.wandb`` file."""
    wandb.teardown()  # finish() does not wait until the file is written, this does
    run = OfflineRun()
    for record in _records(file.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            told = record.run
            run.id, run.project, run.entity, run.host = told.run_id, told.project, told.entity, told.host
            run.tags = list(told.tags)
            run.group, run.name, run.notes, run.job_type = told.run_group, told.display_name, told.notes, told.job_type
            run.config |= _values(told.config.update)
        elif kind == "config":
            run.config |= _values(record.config.update)
        elif kind == "summary":
            run.summary |= _values(record.summary.update)
        elif kind == "history":
            run.history.append(_values(record.history.item))
        elif kind == "metric":
            run.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _values(items: Any) -> dict[str, Any]:
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[Any]:
    """The records of LevelDB's log format: blocks of 32 KiB, each piece with checksum, length and kind before it."""
    position, whole = _HEADER, b""
    while position + _HEADER <= len(data):
        left_in_block = _BLOCK - position % _BLOCK
        if left_in_block < _HEADER:
            position += left_in_block
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0:
            return
        position += _HEADER + length
        whole += data[position - length : position]
        if kind in (1, 4):  # a record in one piece, or the last piece of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""

"""A stand-in for the W&B server on the loopback: enough for online runs, resumed ones, ``wandb sync`` and sweeps."""

import gzip
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import yaml

Json = dict[str, Any]


@dataclass
class ServedRun:
    """What arrived of one run."""

    config: Json = field(default_factory=dict)
    summary: Json = field(default_factory=dict)
    history: list[Json] = field(default_factory=list)
    group: str | None = None
    name: str | None = None
    project: str | None = None
    sweep: str | None = None
    exit_code: int | None = None


KEY = "0123456789" * 4  # of the form that W&B takes


class WandbServer:
    """Serves on a free port while its context is open.

    Set ``failing`` to answer everything with status 500, ``refusing`` to know no key, ``stall`` to keep everyone
    waiting for so many seconds.
    """

    def __init__(self) -> None:
        self.runs: dict[str, ServedRun] = {}
        self.sweeps: dict[str, Json] = {}  # the config of each
        self.views: list[Json] = []  # workspaces that were saved
        self._given: set[str] = set()  # sweeps whose run an agent has
        self.failing = self.refusing = False
        self.stall = 0.0
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _handler(lambda path, body: self._answer(path, body)))
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Vanish: from now on nobody listens at the port."""
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, path: str, body: bytes) -> tuple[int, Json]:
        self._closed.wait(self.stall)
        with self._lock:
            if self.failing:
                return 500, {"error": "out of order"}
            if self.refusing:
                return 401, {"error": "no such key"}
            if path == "/graphql":
                request = json.loads(body)
                named = re.match(r"\s*(?:query|mutation)\s+(\w+)", request["query"])
                return 200, {"data": self._graphql(named and named[1], request.get("variables") or {})}
            if path.endswith("/file_stream"):
                self._take_rows(self.runs[path.split("/")[-2]], json.loads(body))
            return 200, {}

    def _graphql(self, operation: str | None, variables: Json) -> Json:
        if operation in ("Viewer", "GetDefaultEntity"):
            return {"viewer": {"id": "user", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
        if operation == "UpsertView2":
            self.views.append(variables)
            project = {"name": variables["projectName"], "entityName": variables["entityName"]}
            view = {"id": "dmlldzox", "project": project, **{key: variables[key] for key in ("name", "type", "spec")}}
            return {"upsertView": {"view": {**view, "displayName": variables["displayName"]}, "inserted": True}}
        if operation == "OrganizationCoreWeaveOrganizationID":
            return {"entity": {"organization": {"coreWeaveOrganizationId": None}}}
        if operation == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if operation == "UpsertBucket":
            return self._upsert(variables)
        if operation == "RunResumeStatus":
            return {"model": {**_project(variables["project"]), "bucket": self._resume_status(variables["name"])}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}
        if operation == "CreateArtifact":  # a table, say; as if the server had its files already
            sequence = {"latestArtifact": {"id": "table"}}
            return {"createArtifact": {"artifact": {"id": "table", "state": "COMMITTED", "artifactSequence": sequence}}}
        if operation in (None, "ArtifactType"):
            return {"project": {"artifact": None}}
        return self._answer_sweep(operation, variables)

    def _answer_sweep(self, operation: str | None, variables: Json) -> Json:
        if operation == "UpsertSweep":
            name = f"sweep{len(self.sweeps)}"
            self.sweeps[name] = yaml.safe_load(variables["config"])
            sweep = {"name": name, "project": _project(variables["projectName"])}
            return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}
        if operation == "SweepWithRuns":
            name = variables["sweep"]
            config = yaml.safe_dump(self.sweeps[name])
            return {"project": {"sweep": {"name": name, "config": config, "state": "RUNNING", "runs": {"edges": []}}}}
        if operation == "CreateAgent":
            return {"createAgent": {"agent": {"id": variables["sweep"]}}}  # one agent for a sweep
        if operation == "Heartbeat":
            name = variables["id"]
            commands = [] if name in self._given else [self._first_run(name)]
            self._given.add(name)
            return {"agentHeartbeat": {"agent": {"id": name}, "commands": json.dumps(commands)}}
        return {}

    def _first_run(self, sweep: str) -> Json:
        """The command that starts the one run of a sweep, with the first legal value of each parameter."""
        config = self.sweeps[sweep]
        legal = config["parameters"].items()
        first = {key: told.get("value", told.get("min", told.get("values", [None])[0])) for key, told in legal}
        arguments = {key: {"value": value} for key, value in first.items()}
        return {"type": "run", "run_id": f"{sweep}-run", "program": config["program"], "args": arguments}

    def _upsert(self, variables: Json) -> Json:
        name = variables["name"]
        inserted = name not in self.runs
        run = self.runs.setdefault(name, ServedRun())
        run.config.update({key: item.get("value") for key, item in json.loads(variables.get("config") or "{}").items()})
        run.group = variables.get("groupName") or run.group
        run.name = variables.get("displayName") or run.name
        run.project = variables.get("project") or run.project
        run.sweep = variables.get("sweep") or run.sweep
        bucket = {
            "id": name,
            "name": name,
            "displayName": run.name,
            "config": "{}",
            "historyLineCount": len(run.history),
            "project": _project(variables["project"]),
        }
        return {"upsertBucket": {"inserted": inserted, "bucket": bucket}}

    def _resume_status(self, name: str) -> Json | None:
        if name not in self.runs:
            return None
        run = self.runs[name]
        return {
            "id": name,
            "name": name,
            "displayName": run.name,
            "config": json.dumps({key: {"value": value} for key, value in run.config.items()}),
            "summaryMetrics": json.dumps(run.summary),
            "historyLineCount": len(run.history),
            "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
            "eventsLineCount": 0,
            "eventsTail": "[]",
            "logLineCount": 0,
            "tags": [],
            "wandbConfig": json.dumps({"t": {}}),
        }

    def _take_rows(self, run: ServedRun, message: Json) -> None:
        for name, chunk in (message.get("files") or {}).items():
            lines = [json.loads(line) for line in chunk["content"]] if name.startswith("wandb-") else []
            if name == "wandb-history.jsonl":
                run.history[chunk["offset"] :] = lines
            elif name == "wandb-summary.json":
                run.summary = lines[-1]
        if message.get("complete"):
            run.exit_code = message["exitcode"]


def _project(name: str) -> Json:
    return {"id": "project", "name": name, "entity": {"id": "me", "name": "me"}}


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may hang up."""


def _handler(answer: Callable[[str, bytes], tuple[int, Json]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status, content = answer(self.path.split("?")[0], body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler

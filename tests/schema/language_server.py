"""A client of yaml-language-server over stdio: as much of the protocol as the tests ask for."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 60  # a slow machine starts node and parses the schema in a few


class LanguageServer:
    """One server with one schema for all files."""

    def __init__(self, program: Path, schema: Path) -> None:
        command = ["node", str(program), "--stdio"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._inbox: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._settings = {
            "validate": True,
            "completion": True,
            "hover": True,
            "schemaStore": {"enable": False},
            "schemas": {schema.as_uri(): "*.yaml"},
        }
        self._ids = 0
        capabilities = {
            "textDocument": {"hover": {"contentFormat": ["markdown"]}, "completion": {}},
            "workspace": {"configuration": True},
        }
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        self._send(method="initialized", params={})
        self._send(method="workspace/didChangeConfiguration", params={"settings": {"yaml": self._settings}})

    def diagnostics(self, uri: str, text: str) -> list[tuple[int, str]]:
        """(line from 1, message) of each problem in a text, which is opened."""
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send(method="textDocument/didOpen", params={"textDocument": document})
        told = self._wait(
            lambda m: m.get("method") == "textDocument/publishDiagnostics" and m["params"]["uri"] == uri
        )
        return [(d["range"]["start"]["line"] + 1, d["message"]) for d in told["params"]["diagnostics"]]

    def completions(self, uri: str, line: int, column: int) -> dict[str, str]:
        """Label → documentation of what is offered at a place of an open text, both from 0."""
        answer = self.ask("textDocument/completion", _at(uri, line, column))
        items = answer["items"] if isinstance(answer, dict) else answer or []
        return {item["label"]: _text(item.get("documentation", "")) for item in items}

    def hover(self, uri: str, line: int, column: int) -> str:
        """What is shown at a place of an open text, as Markdown."""
        answer = self.ask("textDocument/hover", _at(uri, line, column))
        return _text(answer["contents"]) if answer else ""

    def ask(self, method: str, params: Any) -> Any:
        """The answer to a request."""
        self._ids += 1
        number = self._ids
        self._send(id=number, method=method, params=params)
        answer = self._wait(lambda m: m.get("id") == number and "method" not in m)
        assert "error" not in answer, answer
        return answer["result"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> None:
        while line := self._process.stdout.readline():
            length = 0
            while line.strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                line = self._process.stdout.readline()
            self._inbox.put(json.loads(self._process.stdout.read(length)))

    def _wait(self, wanted: Any) -> dict[str, Any]:
        while True:
            message = self._inbox.get(timeout=ANSWER_SECONDS)
            if "id" in message and "method" in message:
                # The server asks for its settings before it looks at anything.
                settings = [self._settings if i == 0 else None for i in range(5)]
                asked = message["method"] == "workspace/configuration"
                self._send(id=message["id"], result=settings if asked else None)
            elif wanted(message):
                return message


def _at(uri: str, line: int, column: int) -> dict[str, Any]:
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}


def _text(content: Any) -> str:
    return content["value"] if isinstance(content, dict) else str(content)

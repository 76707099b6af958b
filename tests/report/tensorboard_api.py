"""TensorBoard's own server on loopback, asked over HTTP as its page asks it."""

from __future__ import annotations

import json
import logging
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tensorboard import program


class Api:
    """Reads a folder once and answers as a TensorBoard that was opened on it."""

    def __init__(self, folder: Path):
        server = program.TensorBoard()
        server.configure(
            logdir=str(folder), host="127.0.0.1", port=0, load_fast="false", reload_interval=0, reload_task="blocking"
        )
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.url = server.launch().rstrip("/")

    def __call__(self, path: str, **query: str | list[str]) -> Any:
        """The answer to a GET of `/data/plugin/<path>`: JSON read, anything else as bytes."""
        return self._ask(f"{path}?{urllib.parse.urlencode(query, doseq=True)}", None)

    def post(self, path: str, question: dict[str, Any]) -> Any:
        """The answer to a POST of JSON."""
        return self._ask(path, json.dumps(question).encode())

    def _ask(self, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(f"{self.url}/data/plugin/{path}", data=body)
        if body is not None:
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:  # loopback
            found = answer.read()
        return json.loads(found) if answer.headers.get_content_type() == "application/json" else found

"""Firefox without a driver of its own: it speaks WebDriver BiDi itself.

    with Firefox(tmp_path) as firefox:
        firefox.open(path.as_uri())
        firefox.run("document.title")

https://w3c.github.io/webdriver-bidi/; what is used here has been in Firefox since 129.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import re
import shutil
import subprocess
import time
from typing import Any

import websocket


def firefox_path() -> str | None:
    """Return a Firefox of this machine; None: there is none."""
    return next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)


class Firefox:
    """A headless Firefox with one page, its state in a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        path = firefox_path()
        assert path
        profile = folder / "profile"
        profile.mkdir()
        self._log = folder / "firefox.log"
        self._numbers = itertools.count(1)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(path, "--headless", "--no-remote", "--new-instance"),
                    *("--profile", str(profile), "--remote-debugging-port", "0"),
                    *("--width=1280", "--height=1000", "about:blank"),
                ],
                env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Firefox:
        try:
            address = self._listening()
            self._socket = websocket.create_connection(
                f"{address}/session", 60, suppress_origin=True
            )
            self._ask("session.new", capabilities={})
            (page,) = self._ask("browsingContext.getTree")["contexts"]
            self._page = page["context"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(AttributeError, OSError):
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listening(self) -> str:
        for _ in range(900):
            text = self._log.read_text(errors="replace")
            found = re.search(r"WebDriver BiDi listening on (ws://\S+)", text)
            if found:
                return found[1]
            assert self._process.poll() is None, text
            time.sleep(0.1)  # another process starts: there is no clock to turn
        raise RuntimeError(f"Firefox did not start:\n{text}")

    def _ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    def open(self, url: str) -> None:
        """Go to an address; returns when the page has loaded."""
        self._ask(
            "browsingContext.navigate", context=self._page, url=url, wait="complete"
        )

    def run(self, expression: str) -> Any:
        """Return a value, or what a promise resolves to, through JSON."""
        answer = self._ask(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression})))()",
            target={"context": self._page},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        value = answer["result"].get("value")
        return None if value is None else json.loads(value)

    def press(self, key: str) -> None:
        """Press a key as WebDriver names it: "\\ue014" is the right arrow."""
        actions = [{"type": way, "value": key} for way in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self._ask("input.performActions", context=self._page, actions=[source])

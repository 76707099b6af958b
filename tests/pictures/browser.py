"""A headless browser that tests can steer: keys, mouse, what a page says, what it looks like, what went wrong."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu-sandbox", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
SOFTWARE_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
NO_WEBGL = ("--disable-gpu", "--disable-3d-apis")


class Page:
    """One open page. Everything waits at most `patience_s`, then fails."""

    def __init__(self, commands: int, answers: int, patience_s: float):
        self._commands, self._answers, self._patience_s = commands, answers, patience_s
        self._rest, self._numbers = b"", itertools.count(1)
        self._session: str | None = None
        self.complaints: list[str] = []
        """What the page wrote to the console, exceptions and refused requests."""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self.requests: list[str] = []

    def open(
        self,
        url: str,
        *,
        width: int = 1200,
        height: int = 800,
        dark: bool = False,
        touch: bool = False,
        scripts: bool = True,
    ) -> None:
        """Opens a page and waits until it has drawn; without scripts, until it is there."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", features=scheme)
        self._call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self._call("Page.navigate", url="about:blank")
        self._call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._call("Page.navigate", url=url)
        drawn = "document.body && document.body.dataset.frames > 0" if scripts else "document.readyState === 'complete'"
        self.wait(f"location.href !== 'about:blank' && {drawn}")

    def evaluate(self, expression: str) -> Any:
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + self._patience_s
        while not self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never came true: {condition}; {self.complaints}"
            time.sleep(0.03)

    def key(self, name: str, *, text: str = "", shift: bool = False) -> None:
        modifiers = 8 if shift else 0
        self._call("Input.dispatchKeyEvent", type="keyDown", key=name, text=text, modifiers=modifiers)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=name, modifiers=modifiers)
        self._next_frame()

    def click(self, x: float, y: float) -> None:
        """A click of the left button."""
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self._next_frame()

    def hover(self, x: float, y: float) -> None:
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self._next_frame()

    def drag(self, start: tuple[int, int], end: tuple[int, int], *, button: str = "left", shift: bool = False) -> None:
        held = {"left": 1, "right": 2}[button]
        steps = [(start, "mousePressed"), (end, "mouseMoved"), (end, "mouseReleased")]
        for (x, y), kind in steps:
            buttons = held if kind == "mouseMoved" else 0
            self._call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=1,
                modifiers=8 if shift else 0,
            )  # fmt: skip
        self._next_frame()

    def wheel(self, x: int, y: int, delta: int) -> None:
        self._call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta)
        self._next_frame()

    def touches(self, *moments: list[tuple[int, int]]) -> None:
        """Fingers: where they are at each moment; they lift at the end."""
        for number, moment in enumerate(moments):
            fingers = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(moment)]
            self._call(
                "Input.dispatchTouchEvent", type="touchMove" if number else "touchStart", touchPoints=fingers
            )
        self._call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self._next_frame()

    def screenshot(self, path: Path | None = None) -> np.ndarray:
        """(height, width, 3) uint8."""
        png = base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(png)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def _next_frame(self) -> None:
        self._call(
            "Runtime.evaluate",
            expression="new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))",
            awaitPromise=True,
        )

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + self._patience_s
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser has gone"
            self._rest += piece
        first, self._rest = self._rest.split(b"\0", 1)
        return json.loads(first)

    def _note(self, event: dict[str, Any]) -> None:
        method, found = event.get("method"), event.get("params", {})
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(found)[:500])
        elif method == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.complaints.append(found["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])


@contextlib.contextmanager
def watched(window: Page, url: str, schemes: tuple[str, ...] = ("file:",)) -> Iterator[Page]:
    """A page, just opened: it may not complain while the block runs, nor ask for anything but these kinds of URLs."""
    window.complaints.clear()
    window.requests.clear()
    window.open(url)
    yield window
    assert not window.complaints
    assert all(asked.startswith(schemes) for asked in window.requests)


@contextlib.contextmanager
def browser(profile: Path, *flags: str, patience_s: float = 60.0) -> Iterator[Page]:
    """A page in a headless browser of its own, which is ended at the end."""
    assert CHROMIUM, "no browser: skip the test before"
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
    # The browser reads commands from descriptor 3 and answers on 4.
    shell = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *command],
        pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Page(commands, answers, patience_s)
    finally:
        with contextlib.suppress(OSError):
            os.write(commands, b'{"id": 0, "method": "Browser.close"}\0')
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        os.close(commands)
        os.close(answers)

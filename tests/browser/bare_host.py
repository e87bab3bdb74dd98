"""A page with a live viewer and nothing around it: neither JupyterLab nor anywidget.

    with BareHost(viewer) as host:       # a RolloutViewer of this process
        page.goto(host.url)

The page runs the bundle as a front end does, and speaks with the viewer's comm over a
WebSocket. What a host lacks is an option: a Content-Security-Policy, buffers that are
dropped on their way, messages that do not arrive at all, a link that is slow.
"""

from __future__ import annotations

import asyncio
import functools
import json
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket

from rollout_viewer._page.bundle import read_bundle

PAGE = """<!doctype html><meta charset="utf-8"><title>host</title>
<link rel="stylesheet" href="/widget.css"><link rel="icon" href="data:,">
<body><div id="cell"></div><script type="module" src="/host.js"></script>"""

# A front end: the model of anywidget, as far as the bundle uses it.
HOST_JS = """
import createWidget from "/widget.js";

const socket = new WebSocket(`ws://${location.host}/comm`);
socket.binaryType = "arraybuffer";
const listeners = new Map();
const emit = (event, ...args) => {
  for (const one of [...(listeners.get(event) ?? [])]) one(...args);
};
const post = message => socket.send(JSON.stringify(message));
const ended = new AbortController();
let [state, changed] = [{}, {}];
const model = {
  get: name => state[name],
  set(name, value) {
    state[name] = changed[name] = value;
    emit(`change:${name}`);
  },
  save_changes() {
    post({ method: "update", state: changed });
    changed = {};
  },
  on(event, one) {
    listeners.set(event, (listeners.get(event) ?? new Set()).add(one));
  },
  off: (event, one) => listeners.get(event)?.delete(one),
  send: content => post({ method: "custom", content }),
};
socket.onmessage = ({ data }) => {
  const size = new DataView(data).getUint32(0);
  const text = new TextDecoder().decode(new Uint8Array(data, 4, size));
  const { message, sizes } = JSON.parse(text);
  let at = 4 + size;
  const buffers = sizes.map(one => new DataView(data, (at += one) - one, one));
  if (message.method === "custom") return emit("msg:custom", message.content, buffers);
  Object.assign(state, message.state);
  if (message.method === "update")
    for (const name of Object.keys(message.state)) emit(`change:${name}`);
  else void open();
};
async function open() {
  const widget = createWidget();
  const { signal } = ended;
  await widget.initialize({ model, signal });
  await widget.render({ model, el: document.querySelector("#cell"), signal });
}
"""


class Link(NamedTuple):
    """The way from kernel to page, and how long each message takes there and back.

    Attributes:
        bytes_per_s: Of all that is sent, one after the other.
        delay_s: One way.
    """

    bytes_per_s: float = 1e12
    delay_s: float = 0.0


class BareHost:
    """Serves a page that shows `viewer`.

    Args:
        viewer: Of this process; its comm is the host's meanwhile.
        policy: The page's Content-Security-Policy.
        link: How fast it is.
        has_buffers: Whether binary buffers arrive.
        is_deaf: Whether messages arrive nowhere, neither the page's nor the viewer's.
        is_mute: Whether the page's arrive nowhere.
        files: Other pages that it serves: HTML by name.

    Attributes:
        url: Of the page.
        insecure_url: The same, where browsers hold back what needs a secure context.
        num_bytes: How much was sent to pages.
        kinds: Of the messages that pages sent.
    """

    def __init__(
        self,
        viewer: Any,
        *,
        policy: str | None = None,
        link: Link = Link(),  # noqa: B008 - it does not change
        has_buffers: bool = True,
        is_deaf: bool = False,
        is_mute: bool = False,
        files: Mapping[str, str] | None = None,
    ) -> None:
        self.viewer = viewer
        self.policy = policy
        self.link = link
        self.has_buffers = has_buffers
        self.is_deaf = is_deaf
        self.is_mute = is_mute
        self.files = dict(files or {})
        self.url = self.insecure_url = ""
        self.num_bytes = 0
        self.kinds: list[str] = []
        self._free_at = 0.0
        self._sockets: set[_Socket] = set()
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> BareHost:
        self._thread.start()
        assert self._is_ready.wait(30)
        self.viewer.comm = _Comm(self)
        return self

    def __exit__(self, *exc: object) -> None:
        self.viewer.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        application = tornado.web.Application(
            [
                (r"/comm", _Socket, {"host": self}),
                (r"/(.*)", _Files, {"host": self}),
            ]
        )
        server = tornado.httpserver.HTTPServer(application)
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        self.url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
        # The same address, but none that browsers take to be this machine.
        self.insecure_url = self.url.replace("127.0.0.1", "0.0.0.0")
        self._loop.call_soon(self._is_ready.set)
        self._loop.run_forever()
        server.stop()
        self._loop.run_until_complete(server.close_all_connections())
        self._loop.close()

    def send(self, message: Any, buffers: Any) -> None:
        """Send a message to the pages; from any thread."""
        if self.is_deaf:
            return
        parts = [bytes(one) for one in buffers or ()] if self.has_buffers else []
        head = json.dumps({"message": message, "sizes": [*map(len, parts)]}).encode()
        packed = b"".join([struct.pack(">I", len(head)), head, *parts])
        self._loop.call_soon_threadsafe(self._queue, packed)

    def _queue(self, packed: bytes) -> None:
        self.num_bytes += len(packed)
        begin = max(self._loop.time(), self._free_at)
        self._free_at = begin + len(packed) / self.link.bytes_per_s
        for socket in self._sockets:
            self.later(self._free_at, functools.partial(socket.post, packed))

    def later(self, at: float, do: Callable[[], object]) -> None:
        """Do something when it has come over the link."""
        self._loop.call_at(at + self.link.delay_s, do)

    def take(self, message: dict[str, Any]) -> None:
        """Hand a page's message to the viewer."""
        if message["method"] == "custom":
            self.kinds.append(message["content"]["kind"])
        is_lost = self.is_deaf or self.is_mute
        if not is_lost and self.viewer.comm is not None:
            data = {**message, "buffer_paths": []}
            self.viewer.comm.handle({"content": {"data": data}, "buffers": []})


class _Comm:
    """What ipywidgets speaks with, in the place of a kernel's comm."""

    comm_id = "bare"
    kernel = "this process"

    def __init__(self, host: BareHost) -> None:
        self._host = host
        self.handle: Callable[[Any], object] = lambda message: None

    def on_msg(self, callback: Callable[[Any], object]) -> None:
        self.handle = callback

    def on_close(self, callback: Callable[[Any], object]) -> None:
        """Pages do not close it."""

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        self._host.send(data, buffers)

    def close(self, *args: Any, **options: Any) -> None:
        """There is nothing to close."""


class _Files(tornado.web.RequestHandler):
    def initialize(self, host: BareHost) -> None:
        self._host = host

    def get(self, name: str) -> None:
        texts = {"": (PAGE, "html"), "host.js": (HOST_JS, "javascript")}
        if name == "widget.js":
            texts[name] = read_bundle(name, "test"), "javascript"
        elif name == "widget.css":
            texts[name] = read_bundle(name, "test"), "css"
        elif name in self._host.files:
            texts[name] = self._host.files[name], "html"
        text, kind = texts[name]
        if self._host.policy:
            self.set_header("Content-Security-Policy", self._host.policy)
        self.set_header("Content-Type", f"text/{kind}")
        self.finish(text)


class _Socket(tornado.websocket.WebSocketHandler):
    def initialize(self, host: BareHost) -> None:
        self._host = host

    def open(self, *args: str, **options: str) -> None:
        self._host._sockets.add(self)
        state = self._host.viewer.get_state()
        shown = {name: state[name] for name in state if name not in ("_esm", "_css")}
        shown.pop("layout", None)
        head = {"message": {"method": "open", "state": shown}, "sizes": []}
        text = json.dumps(head).encode()
        self.post(struct.pack(">I", len(text)) + text)

    def post(self, packed: bytes) -> None:
        if self in self._host._sockets:
            self.write_message(packed, binary=True)

    def on_message(self, message: str | bytes) -> None:
        now = asyncio.get_running_loop().time()
        self._host.later(now, lambda: self._host.take(json.loads(message)))

    def on_close(self) -> None:
        self._host._sockets.discard(self)

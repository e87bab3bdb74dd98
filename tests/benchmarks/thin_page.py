"""A thin link in a real page: JupyterLab in Chromium, behind a proxy.

    python -m tests.benchmarks.thin_page             # HalfCheetah x 16, 10 Mbit/s
    python -m tests.benchmarks.thin_page CartPole-v1

`tests.benchmarks.thin_link` says what the bytes of a recording need, in virtual time;
this, whether a page draws them in time. All that JupyterLab sends goes over the link,
once the page is there. What the kernel and the page take of a processor stands beside
it: headless Chromium draws and decodes video by the processor, with all else here.
Prints a line for the table in notebooks/guides/performance.md.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile
import time
import urllib.parse
import warnings
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import psutil
from playwright.sync_api import sync_playwright

import rollout_viewer as rv
from tests.benchmarks.browser import FIRST_JS, TILES
from tests.benchmarks.frame_cache import play
from tests.benchmarks.thin_link import CASES, NUM_ENVS, NUM_ROWS, PLAY_S
from tests.benchmarks.throttle import Throttle
from tests.browser.conftest import (
    FLAGS,
    SELECT_JS,
    JupyterServer,
    Notebook,
    chromium_path,
)

# From the first picture: the rows that are drawn, when, and whether as previews.
PLAY_JS = """async ms => {
  const root = document.querySelector('.rollout-viewer[data-row]');
  const rows = [];
  const observer = new MutationObserver(() => rows.push([
    Number(root.dataset.row), performance.now(),
    !!root.querySelector('.rv-previews')]));
  observer.observe(root, {attributes: true, attributeFilter: ['data-row']});
  const press = (key, code) =>
    root.dispatchEvent(new KeyboardEvent('keydown', {key, code, bubbles: true}));
  const from = performance.now();
  press(' ', 'Space');
  await new Promise(done => setTimeout(done, ms));
  press(' ', 'Space');
  observer.disconnect();
  const paused = performance.now();
  const isExact = () => !root.querySelector('.rv-previews, [data-gap=loading]');
  while (!isExact() && performance.now() < paused + 30000)
    await new Promise(requestAnimationFrame);
  return {from, rows, exactMs: isExact() ? performance.now() - paused : null};
}"""


def main() -> int:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("env", nargs="?", default="HalfCheetah-v5")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    path = chromium_path()
    if path is None:
        print("SKIP thin_page: no Chromium (see `make setup`)")
        return 0
    _, fps, mbit, delay_ms, count = next(
        case for case in CASES if case[0] == options.env
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        JupyterServer(pathlib.Path(folder)) as server,
        sync_playwright() as playwright,
    ):
        recording = server.root / "thin.rollout"
        record(recording, options.env, fps, count)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        port = urllib.parse.urlsplit(server.url).port
        assert port
        with Throttle("127.0.0.1", port) as link:
            page = browser.new_context(viewport=TILES).new_page()
            page.set_default_timeout(300_000)
            found = measure(page, server, recording, link, mbit, delay_ms)
        browser.close()
    tell(options.env, fps, mbit, delay_ms, found)
    return 0


def record(path: pathlib.Path, env_id: str, fps: float, count: int) -> None:
    frames = play(env_id, count)[0]
    with rv.FrameCache(path, fps=fps) as cache:
        for row in range(NUM_ROWS):
            cache.append(
                [frames[(row + 7 * env) % len(frames)] for env in range(NUM_ENVS)],
                reward=np.ones(NUM_ENVS),
            )


def measure(
    page: Any,
    server: JupyterServer,
    recording: pathlib.Path,
    link: Throttle,
    mbit: float,
    delay_ms: float,
) -> dict[str, Any]:
    folder = server.root / "one"
    folder.mkdir()
    cells = [
        f"import os, rollout_viewer as rv\ncache = rv.open({str(recording)!r})\n"
        "print(os.getpid())",
        "viewer = rv.view(cache)\nviewer",
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, folder / "test.ipynb")
    behind = SimpleNamespace(url=f"http://127.0.0.1:{link.port}", app="lab")
    opened = Notebook(page, behind, folder)
    opened.run_cell(0)
    kernel = psutil.Process(int(opened.text(0)))
    page.evaluate(SELECT_JS, 1)
    link.limit(mbit * 1e6 / 8, delay_ms / 1e3)
    first_ms = page.evaluate(FIRST_JS, 1)
    cdp = page.context.browser.new_browser_cdp_session()
    before = cpu_s(kernel), pages_s(cdp), link.num_bytes, time.monotonic()
    found: dict[str, Any] = page.evaluate(PLAY_JS, PLAY_S * 1000)
    took_s = time.monotonic() - before[3]
    return {
        **found,
        "first_ms": first_ms,
        "kernel_s": cpu_s(kernel) - before[0],
        "page_s": pages_s(cdp) - before[1],
        "mbit_per_s": 8e-6 * (link.num_bytes - before[2]) / took_s,
        "load": psutil.getloadavg()[0],
    }


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def pages_s(cdp: Any) -> float:
    """Return the processor time of all of Chromium."""
    info = cdp.send("SystemInfo.getProcessInfo")["processInfo"]
    return float(sum(process["cpuTime"] for process in info))


def tell(
    env_id: str, fps: float, mbit: float, delay_ms: float, found: dict[str, Any]
) -> None:
    rows = found["rows"]
    times = [found["from"], *(at for _, at, _ in rows)]
    longest = max(np.diff(times), default=0) / 1e3
    share = 100 * np.mean([is_preview for *_, is_preview in rows]) if rows else 0
    last = rows[-1][0] if rows else 0
    exact = found["exactMs"]
    at_rest = "never" if exact is None else f"{exact / 1e3:.1f} s"
    print(
        f"| {NUM_ENVS} x {env_id}, {fps:.0f} rows/s, {mbit:.0f} Mbit/s, "
        f"{delay_ms:.0f} ms each way | {found['first_ms'] / 1e3:.1f} s "
        f"| {last} of {PLAY_S * fps:.0f} | {longest:.1f} s | {share:.0f} % previews "
        f"| exact {at_rest} after it rests |"
    )
    print(
        f"<!-- {len(rows)} rows drawn, {found['mbit_per_s']:.1f} Mbit/s; processor "
        f"time of these {PLAY_S:.0f} s and the rest: kernel {found['kernel_s']:.1f} s, "
        f"Chromium {found['page_s']:.1f} s; load {found['load']:.1f} -->"
    )


if __name__ == "__main__":
    sys.exit(main())

"""The notebooks run from top to bottom, and are saved with pictures."""

import pathlib
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

import rollout_viewer as rv

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))

# Where the time goes into learning, drawing and encoding: every cell runs, on less.
SHORTER = {
    "01_first_look": {"max_steps=200": "max_steps=60"},
    "02_torchrl": {
        "frames_per_batch=1000": "frames_per_batch=400",
        "total_frames=10_000": "total_frames=1_600",
        "record_frames=200": "record_frames=60",
    },
    "03_your_own_loop": {
        "range(300)": "range(160)",
        "goto(260)": "goto(130)",
        "max_steps=320": "max_steps=170",
        "range(120)": "range(64)",
    },
    "04_sb3": {
        "every=2000": "every=500",
        "learn(12_000": "learn(1_000",
        "video_length=120": "video_length=40",
        "range(120)": "range(40)",
    },
    "05_finding_failures": {"seeds=range(12)": "seeds=range(4)"},
    "06_comparing_policies": {"= 245_760, 30": "= 1_024, 2", "n_envs=16": "n_envs=2"},
}

# As `jupyter nbconvert --execute --inplace`, without a second of imports.
EXECUTE = """
import sys, nbclient, nbformat

notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook).execute()
nbformat.write(notebook, sys.argv[1])
"""

pytestmark = pytest.mark.slow


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request, tmp_path):
    """Return a copy of a notebook in a folder of its own."""
    path = pathlib.Path(shutil.copy(request.param, tmp_path))
    text = path.read_text("utf-8")
    for long, short in SHORTER.get(path.stem, {}).items():
        assert text.count(long) == 1
        text = text.replace(long, short)
    path.write_text(text, "utf-8")
    return path


def test_notebook_runs_and_leaves_what_it_says(notebook):
    # In a process of its own: nbclient's event loop and Playwright's do not share one.
    result = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(notebook)],
        cwd=notebook.parent,
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stderr
    ran = nbformat.read(notebook, as_version=4)
    outputs = [o for cell in ran.cells for o in cell.get("outputs", ())]
    shown = [set(output.get("data", ())) for output in outputs]
    assert any("application/vnd.jupyter.widget-view+json" in kinds for kinds in shown)
    if notebook.stem == "01_first_look":
        videos = list(notebook.parent.rglob("*.mp4"))
        tables = list(notebook.parent.rglob("*.csv"))
        assert len(videos) == 2
        assert tables
        assert (notebook.parent / "poles.html").stat().st_size > 100_000
    if notebook.stem == "02_torchrl":
        evaluations = list(notebook.parent.glob("csv_logs/ppo/videos/*.mp4"))
        assert len(evaluations) == 2
        assert (notebook.parent / "learned.mp4").exists()
    if notebook.stem == "03_your_own_loop":
        assert (notebook.parent / "life.gif").exists()
    if notebook.stem == "04_sb3":
        assert len(list(notebook.parent.glob("videos/*.mp4"))) == 1
    if notebook.stem == "05_finding_failures":
        assert len(list(notebook.parent.glob("failures/*.mp4"))) == 3
        assert (notebook.parent / "landings.rollout").exists()
    if notebook.stem == "06_comparing_policies":
        assert "<h1>trained against half-trained</h1>" in (
            notebook.parent / "landers.html"
        ).read_text("utf-8")
        assert len(rv.open(notebook.parent / "landers.rollout").episodes) == 4
    if notebook.stem == "08_collecting_with_ray":
        episodes = rv.open(notebook.parent / "poles.rollout").episodes
        assert (notebook.parent / "killed").exists()
        assert sum(one.is_finished for one in episodes) == 36


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_saved_with_a_poster_where_no_widget_runs(path):
    saved = nbformat.read(path, as_version=4)
    outputs = [o for cell in saved.cells for o in cell.get("outputs", ())]

    shown = [output.get("data", {}) for output in outputs]
    view = "application/vnd.jupyter.widget-view+json"
    viewers = [data for data in shown if view in data and "text/html" in data]
    posters = [data for data in viewers if "<table" in data["text/html"]]

    assert posters, f"run {path.name} in JupyterLab and save it with its outputs"
    # Pages of viewers are for the site, which executes the notebooks itself.
    assert not any("<iframe" in data["text/html"] for data in posters)
    assert any("image/png" in data for data in shown)
    assert path.stat().st_size < 1_000_000
    # Nothing of the machine that it ran on.
    assert not re.search("/(home|root|tmp|Users)/", path.read_text("utf-8"))
    assert not any(output["output_type"] == "error" for output in outputs)

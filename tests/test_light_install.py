"""Without torch, everything works but what is made of tensors.

test_wheel.py does the same where nothing but the wheel is installed.
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
# Runs in every child as well: sitecustomize is imported when Python starts.
HIDDEN = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
"""


def test_everything_but_tensors_works_where_torch_is_hidden(tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDDEN)
    paths = (str(hidden), str(HERE.parent))

    result = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            str(HERE / "without_torch.py"),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )

    assert result.returncode == 0, result.stderr

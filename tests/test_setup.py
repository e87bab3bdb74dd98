"""`make setup`: uv gets the settings of pip."""

import runpy
import sys

from tests.pages import ROOT

INSTALL = runpy.run_path(str(ROOT / ".ci" / "install"))


def test_uv_gets_the_settings_of_pip(tmp_path, monkeypatch):
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\n"
        "index-url = file:///a/simple\n"
        "extra-index-url =\n    file:///b/simple\n    file:///c/simple\n"
        "find-links = /overridden\n"
        "[install]\nconstraint = /etc/constraints.txt\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)

    variables = INSTALL["environment"](INSTALL["settings_of_pip"](sys.executable))

    assert variables["UV_DEFAULT_INDEX"] == "file:///a/simple"
    assert variables["UV_INDEX"] == "file:///b/simple file:///c/simple"
    assert variables["UV_FIND_LINKS"] == "/wheels,/more"
    assert variables["UV_CONSTRAINT"] == "/etc/constraints.txt"
    assert variables["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_own_settings_of_uv_stay(monkeypatch):
    monkeypatch.setenv("UV_INDEX", "file:///own")

    variables = INSTALL["environment"]({"extra-index-url": ["file:///b"], "cert": []})

    assert variables["UV_INDEX"] == "file:///own"

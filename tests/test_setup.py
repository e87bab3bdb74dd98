"""`make setup`: uv is told what pip was told."""

import runpy
import sys

from tests.pages import ROOT

INSTALL = runpy.run_path(str(ROOT / ".ci" / "install"))


def test_uv_is_told_what_pip_was_told(tmp_path, monkeypatch):
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

    told = INSTALL["environment"](INSTALL["settings_of_pip"](sys.executable))

    assert told["UV_DEFAULT_INDEX"] == "file:///a/simple"
    assert told["UV_INDEX"] == "file:///b/simple file:///c/simple"
    assert told["UV_FIND_LINKS"] == "/wheels,/more"
    assert told["UV_CONSTRAINT"] == "/etc/constraints.txt"
    assert told["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_what_uv_was_told_itself_stays(monkeypatch):
    monkeypatch.setenv("UV_INDEX", "file:///own")

    told = INSTALL["environment"]({"extra-index-url": ["file:///b"], "cert": []})

    assert told["UV_INDEX"] == "file:///own"

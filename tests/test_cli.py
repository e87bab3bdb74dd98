import csv
import json
import pathlib
import subprocess
import sys

import pytest

import rollout_viewer as rv
from rollout_viewer._cli import commands, main


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Two CartPoles of twenty steps, recorded by the command line."""
    path = tmp_path_factory.mktemp("recording") / "poles.rollout"
    arguments = ["--num-envs", "2", "--steps", "20", "--seed", "0", "-o", str(path)]
    assert main(["record", "CartPole-v1", *arguments]) == 0
    return path


def test_record_writes_what_was_asked_for(recording):
    with rv.open(recording) as cache:
        transitions = cache.scalars["kind"][:] != "reset"

        assert cache.num_envs == 2
        assert cache.num_rows >= 21
        assert transitions.any()
        assert cache.metadata["env_id"] == "CartPole-v1"


def test_record_with_the_same_seed_starts_with_the_same_picture(recording, tmp_path):
    other = tmp_path / "other.rollout"
    arguments = ["--num-envs", "2", "--steps", "2", "--seed", "0", "-o", str(other)]

    main(["record", "CartPole-v1", *arguments])

    with rv.open(recording) as first, rv.open(other) as second:
        assert (first[0] == second[0]).all()


def test_record_names_its_file_after_the_environment(tmp_path):
    assert main(["record", "CartPole-v1", "--steps", "1"]) == 0

    assert (tmp_path / "CartPole-v1.rollout").exists()


def test_record_keeps_the_recording_of_an_earlier_run(tmp_path, capsys):
    for _ in range(2):
        main(
            ["record", "CartPole-v1", "--steps", "1", "-o", str(tmp_path / "a.rollout")]
        )

    printed = capsys.readouterr().out.split()
    assert printed == [str(tmp_path / name) for name in ("a.rollout", "a-1.rollout")]


def test_record_finds_atari_without_an_import():
    pytest.importorskip("ale_py", reason="ALE is in the extra `dev`")

    assert main(["record", "ALE/Pong-v5", "--steps", "2"]) == 0


def test_info_as_json_can_be_read_by_programs(recording, capsys):
    main(["info", str(recording), "--json"])

    facts = json.loads(capsys.readouterr().out)
    assert facts["envs"] == 2
    assert facts["pictured_envs"] == 2
    assert facts["fps"] == 50
    assert facts["size_bytes"] == recording.stat().st_size
    assert 0 < facts["bytes_per_frame"] < 600 * 400 * 3


def test_info_is_one_line_for_each_fact(recording, capsys):
    main(["info", str(recording)])

    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ["envs", "2"] for line in lines)


def test_export_writes_every_suffix_that_is_named(recording, tmp_path, capsys):
    import av

    targets = [tmp_path / name for name in ("clip.mp4", "clip.csv", "clip.html")]

    main(["export", str(recording), *map(str, targets)])

    with rv.open(recording) as cache, av.open(str(targets[0])) as video:
        assert sum(1 for _ in video.decode(video=0)) == cache.num_rows
    assert capsys.readouterr().out.split() == [str(target) for target in targets]


def test_export_takes_a_range_and_some_envs(recording, tmp_path):
    target = tmp_path / "clip.csv"
    part = ["--start", "2", "--stop", "5", "--envs", "1"]

    main(["export", str(recording), str(target), *part])

    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["2", "3", "4"]
    assert {row["env"] for row in rows} == {"1"}


def test_export_keeps_an_older_file_without_overwrite(recording, tmp_path, capsys):
    target = tmp_path / "clip.csv"
    target.write_text("older")

    main(["export", str(recording), str(target)])
    assert target.read_text() == "older"
    assert capsys.readouterr().out.strip() == str(tmp_path / "clip-1.csv")

    main(["export", str(recording), str(target), "--overwrite"])
    assert target.read_text() != "older"


def test_compact_prints_what_it_saved_and_keeps_every_picture(tmp_path, capsys):
    path = tmp_path / "poles.rollout"
    main(["record", "CartPole-v1", "--steps", "100", "--seed", "0", "-o", str(path)])
    before, size = rv.open(path)[:], path.stat().st_size

    assert main(["compact", str(path)]) == 0

    assert "% smaller)" in capsys.readouterr().out
    assert path.stat().st_size < size
    assert (rv.open(path)[:] == before).all()


def test_view_with_html_writes_the_page_and_opens_nothing(
    recording, tmp_path, monkeypatch, capsys
):
    opened = []
    monkeypatch.setattr(commands, "_has_display", lambda *_: True)
    monkeypatch.setattr("webbrowser.open", opened.append)
    page = tmp_path / "page.html"

    main(["view", str(recording), "--html", str(page)])

    assert "<html" in page.read_text()[:1000]
    assert capsys.readouterr().out.strip() == str(page)
    assert opened == []


def test_view_opens_a_browser_where_there_is_a_display(
    recording, tmp_path, monkeypatch, capsys
):
    opened = []
    monkeypatch.setattr(commands, "_has_display", lambda *_: True)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    main(["view", str(recording)])

    path = capsys.readouterr().out.strip()
    assert path.endswith("poles.html")
    assert opened == [f"file://{path}"]


def test_view_prints_the_path_where_there_is_no_display(
    recording, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(commands, "_has_display", lambda *_: False)
    monkeypatch.setattr("webbrowser.open", pytest.fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert main(["view", str(recording)]) == 0

    assert capsys.readouterr().out.strip().endswith("poles.html")


def test_export_has_the_options_of_write(recording, tmp_path, capsys):
    arguments = ["--layout", "tiles", "--labels", "--speed", "2", "--order", "return"]

    out = str(tmp_path / "a.mp4")
    assert main(["export", str(recording), out, *arguments, "--quality", "high"]) == 0

    written = [pathlib.Path(line) for line in capsys.readouterr().out.split()]
    with rv.open(recording) as cache:
        assert len(written) == cache.num_envs
        assert rv.open(written[0]).fps == 2 * cache.fps


def test_demo_writes_recording_video_table_page_and_notebook(tmp_path, capsys):
    arguments = ["--num-envs", "2", "--steps", "5", "--no-open"]

    assert main(["demo", "--dir", str(tmp_path / "demo"), *arguments]) == 0

    names = sorted(path.name for path in (tmp_path / "demo").iterdir())
    assert names == [
        "01_first_look.ipynb",
        "recording.csv",
        "recording.html",
        "recording.mp4",
        "recording.rollout",
    ]
    printed = capsys.readouterr().out
    assert all(str(tmp_path / "demo" / name) in printed for name in names)
    assert "jupyter lab" in printed


def test_demo_run_again_writes_its_page_anew_and_prints_that(tmp_path, capsys):
    arguments = ["demo", "--dir", str(tmp_path), "--num-envs", "1", "--no-open"]
    main([*arguments, "--steps", "2"])
    page = tmp_path / "recording.html"
    older = page.read_text()
    capsys.readouterr()

    assert main([*arguments, "--steps", "5"]) == 0

    assert page.read_text() != older
    assert list(tmp_path.glob("recording*.html")) == [page]
    assert f"A page that needs no kernel:  {page}\n" in capsys.readouterr().out


def test_demo_refuses_a_folder_that_is_a_file(tmp_path, capsys):
    (tmp_path / "demo").write_text("this is no folder")

    assert main(["demo", "--dir", str(tmp_path / "demo"), "--no-open"]) == 2

    assert "demo: expected a folder that can be made" in capsys.readouterr().err


def test_record_leaves_no_empty_file_when_the_first_reset_fails(
    tmp_path, monkeypatch, capsys
):
    import gymnasium
    from gymnasium.envs.classic_control import CartPoleEnv

    def refuse(self, **kwargs):
        raise gymnasium.error.Error("no seed pleases me")

    monkeypatch.setattr(CartPoleEnv, "reset", refuse)

    assert main(["record", "CartPole-v1", "-o", str(tmp_path / "a.rollout")]) == 2

    assert "record: CartPole-v1: no seed pleases me" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "absent.rollout"], "absent.rollout"),
        (["info", "text.rollout"], "text.rollout"),
        (["view", "text.rollout"], "text.rollout"),
        (["export", "text.rollout", "out.mp4"], "text.rollout"),
        (["record", "NoSuchEnv-v0"], "NoSuchEnv"),
        (["record", "CartPole-v1", "-o", "text.rollout/a.rollout"], "text.rollout"),
    ],
)
def test_what_is_refused_ends_as_one_line_and_exit_code_2(
    arguments, message, tmp_path, capsys
):
    (tmp_path / "text.rollout").write_text("this is no recording")

    assert main(arguments) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert message in printed.err


def test_export_looks_at_all_names_before_it_writes_one(recording, tmp_path, capsys):
    targets = [str(tmp_path / name) for name in ("clip.csv", "clip.xyz")]

    assert main(["export", str(recording), *targets]) == 2

    assert "export: expected a name ending in one of" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_export_replaces_a_page_with_overwrite(recording, tmp_path, capsys):
    target = tmp_path / "clip.html"
    target.write_text("older")

    main(["export", str(recording), str(target), "--overwrite"])

    assert capsys.readouterr().out.split() == [str(target)]
    assert "<html" in target.read_text()[:1000]


@pytest.mark.parametrize("given", ["", ".", ".."])
def test_a_name_that_is_no_file_is_refused_as_that(recording, given, capsys):
    assert main(["view", str(recording), "--html", given]) == 2
    assert main(["record", "CartPole-v1", "-o", given]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(
        line.startswith("rollout-viewer: expected the name of a file, got")
        for line in lines
    )


@pytest.mark.parametrize("target", ["clip.xyz", "text/clip.mp4"])
def test_export_refuses_in_one_line(recording, target, tmp_path, capsys):
    (tmp_path / "text").write_text("this is no folder")

    assert main(["export", str(recording), target]) == 2

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_page_over_the_limit_is_refused_with_the_choices(recording, capsys):
    assert main(["view", str(recording), "--max-mb", "0.001"]) == 2

    message = capsys.readouterr().err
    assert "every" in message
    assert "=" not in message  # keyword arguments, which a shell does not have


def test_what_is_refused_names_the_command_once(recording, capsys):
    assert main(["view", str(recording), "--start", "500"]) == 2

    assert capsys.readouterr().err.startswith("rollout-viewer: expected rows within")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["record"],
        ["record", "CartPole-v1", "--steps", "0"],
        ["record", "CartPole-v1", "--seed", "-1"],
        ["view", "a.rollout", "--max-mb", "nan"],
        ["export", "a.rollout", "b.mp4", "--envs", "one"],
    ],
)
def test_wrong_arguments_are_reported_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)

    assert stopped.value.code == 2
    assert "usage: rollout-viewer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "platform", "has_display"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": ":0", "CI": "true"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_CONNECTION": "1 2 3 4"}, "darwin", False),
        ({}, "win32", True),
        ({"CI": "true"}, "win32", False),
    ],
)
def test_windows_are_opened_only_where_there_is_a_display(
    environ, platform, has_display
):
    assert commands._has_display(environ, platform) is has_display


def test_python_m_is_the_same_command():
    command = [sys.executable, "-m", "rollout_viewer", "--help"]

    result = subprocess.run(command, capture_output=True, text=True, check=True)

    for name in ("record", "view", "export", "info", "demo"):
        assert name in result.stdout

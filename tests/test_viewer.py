"""The widget's Python side: what it shows, says and writes, without a browser."""

from __future__ import annotations

import base64
import gc
import threading
import weakref
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import traitlets

import rollout_viewer as rv
from rollout_viewer._export import html
from rollout_viewer._page.check_messages import check
from rollout_viewer._viewer import notebook, widget
from rollout_viewer.testing import counting_frames, read_count


@pytest.fixture(autouse=True)
def page_bundle(monkeypatch):
    """A checkout without its page built can still test the Python side."""
    for module in (widget, html):
        monkeypatch.setattr(module, "read_bundle", lambda name, where: f"/* {name} */")


def recording(num_rows=40, num_envs=4, **options):
    cache = rv.FrameCache(**options)
    for row, frames in enumerate(counting_frames(num_rows, num_envs)):
        cache.append(frames, reward=np.ones(num_envs), reset=[row == 0] * num_envs)
    return cache


HELLO = {
    "kind": "hello",
    "protocol": 1,
    "version": "0",
    "page": "p",
    "beginning": 1,
}


class Sent:
    """Everything that a viewer sends to its page, waited for by kind."""

    def __init__(self, viewer):
        self.messages = []
        self._changed = threading.Condition()
        viewer.open()
        viewer.send = self._take

    def _take(self, content, buffers=None):
        with self._changed:
            self.messages.append((content, buffers))
            self._changed.notify_all()

    def wait(self, accept):
        def found():
            return next((m for m in self.messages if accept(m[0])), None)

        with self._changed:
            assert self._changed.wait_for(found, 60), [m[0] for m in self.messages]
            return found()


def say(viewer, **content):
    viewer._on_message(viewer, check(content), [])


@pytest.mark.parametrize(
    "make",
    [
        lambda cache: cache,
        lambda cache: type("Recorder", (), {"cache": cache})(),
        lambda cache: cache.path,
        lambda cache: str(cache.path),
    ],
)
def test_a_viewer_shows_whatever_holds_a_cache(make):
    cache = recording()
    cache.flush()

    viewer = rv.view(make(cache))

    assert viewer.cache.num_rows == 40
    assert (viewer.cache[7] == cache[7]).all()
    viewer.close()


def test_a_viewer_of_frames_shows_them():
    frames = counting_frames(10, 1)[:, 0]

    viewer = rv.view(frames)

    assert (viewer.cache[:, 0] == frames).all()
    viewer.close()


def test_what_is_no_recording_is_refused():
    with pytest.raises(TypeError, match="something with a .cache"):
        rv.view(3)
    with pytest.raises(rv.RecordingError, match="does not exist"):
        rv.view("nowhere.rollout")
    with pytest.raises(ValueError, match="columns >= 1"):
        rv.view(recording(), columns=0)
    with pytest.raises(ValueError, match="expected fps to be a number"):
        rv.view(recording(), fps=0)
    with pytest.raises(TypeError, match=r"options that it has, got \['foo'\]"):
        rv.view(recording(), foo=1)


def test_the_snapshot_is_the_grid_at_the_playhead():
    viewer = rv.view(recording())
    viewer.goto(23)

    picture = viewer.snapshot()

    height, width = viewer.cache.frame_size(0)
    tiles = [
        picture[y : y + height, x : x + width] for y in (0, height) for x in (0, width)
    ]
    assert [read_count(tile) for tile in tiles] == [(23, env) for env in range(4)]
    viewer.close()


def test_goto_finds_a_step_of_an_episode():
    viewer = rv.view(recording())

    viewer.goto(env=2, episode=0, episode_step=7)
    assert (viewer.playhead, viewer.selection) == (7, [2])
    viewer.goto(-1)
    assert viewer.playhead == 39
    with pytest.raises(rv.RowError, match=r"a row in 0\.\.39, got 40"):
        viewer.goto(40)
    with pytest.raises(rv.RowError, match=r"an env in 0\.\.3, got 99"):
        viewer.goto(3, env=99)
    assert (viewer.playhead, viewer.selection) == (39, [2])
    with pytest.raises(rv.RowError, match="an episode of env 0"):
        viewer.goto(episode=5)
    with pytest.raises(ValueError, match="expected a row, or env"):
        viewer.goto()
    viewer.close()


@pytest.mark.parametrize(
    ("trait", "value"),
    [("playhead", -1), ("speed", 0.0), ("speed", -1.0), ("speed", float("nan"))],
)
def test_an_attribute_that_makes_no_sense_is_refused_and_changes_nothing(trait, value):
    viewer = rv.view(recording())
    before = getattr(viewer, trait)

    with pytest.raises(traitlets.TraitError, match=f"expected {trait} >"):
        setattr(viewer, trait, value)
    with pytest.raises(traitlets.TraitError, match=f"expected {trait} >"):
        rv.view(viewer.cache, **{trait: value})

    assert getattr(viewer, trait) == before
    viewer.close()


def test_a_playhead_beyond_the_end_shows_the_last_row():
    viewer = rv.view(recording(), playhead=1000)

    height, width = viewer.cache.frame_size(0)
    assert read_count(viewer.snapshot()[:height, :width]) == (39, 0)
    viewer.close()


def test_a_page_of_a_part_has_that_part(tmp_path):
    viewer = rv.view(recording())

    whole = viewer.to_html(tmp_path / "whole.html")
    part = viewer.to_html(
        tmp_path / "part.html", start=8, stop=30, envs=[1], every=2, max_mb=19
    )

    assert part.stat().st_size < whole.stat().st_size
    with pytest.raises(rv.RowError, match="rows within"):
        viewer.to_html(tmp_path / "none.html", start=50)
    with pytest.raises(ValueError, match="max_mb > 0, got nan"):
        viewer.to_html(tmp_path / "none.html", max_mb=float("nan"))
    with pytest.raises(ValueError, match=r"the name of a file, got '\.'"):
        viewer.to_html(".")
    assert not (tmp_path / "none.html").exists()
    viewer.close()


def test_the_page_tells_a_trait_only_while_it_is_observed():
    viewer = rv.view(recording())
    assert viewer._observed == []

    def handler(change):
        del change

    viewer.observe(handler, "playhead")
    assert viewer._observed == ["playhead"]
    viewer.unobserve(handler, "playhead")
    assert viewer._observed == []
    viewer.close()


def test_setting_the_playhead_to_what_it_was_moves_the_page_back():
    viewer = rv.view(recording())
    sent = Sent(viewer)

    viewer.playhead = 0

    assert sent.messages == [({"kind": "goto", "row": 0}, [])]
    viewer.close()


def test_a_page_that_tells_its_playhead_is_not_sent_back_there():
    viewer = rv.view(recording())
    sent = Sent(viewer)

    viewer.set_state({"playhead": 7, "bookmarks": [7]})
    viewer.set_state({"playhead": 7})

    assert (viewer.playhead, viewer.cache.bookmarks) == (7, {7: ""})
    assert [m for m, _ in sent.messages if m["kind"] == "goto"] == []
    viewer.close()


def test_notes_and_labels_of_a_page_are_in_the_recording_and_told_to_others():
    viewer = rv.view(recording())
    other = rv.view(viewer.cache)
    sent = Sent(other)
    say(other, **HELLO)
    sent.wait(lambda m: m["kind"] == "data")

    viewer._requests.answer(check({"kind": "bookmark", "row": 3, "note": "here"}))
    labels = {"failure": True, "grasps": 2}
    viewer._requests.answer(
        check({"kind": "label", "env": 1, "episode": 0, "labels": labels})
    )

    cache = viewer.cache
    assert (cache.bookmarks, other.bookmarks) == ({3: "here"}, [3])
    assert cache.episodes[1].labels == labels
    told, _ = sent.wait(lambda m: m.get("bookmarks") == {"3": "here"})
    assert told["kind"] == "data"
    told, _ = sent.wait(lambda m: m.get("episodes") == [[1, 0, 0]])
    assert told["infos"] == [{"labels": labels}]
    viewer.close()
    other.close()


def test_pages_of_one_notebook_keep_each_others_bookmarks_notes_and_labels():
    viewer = rv.view(recording())
    cache = viewer.cache
    pages = [{"mine": 7, "note": "of one"}, {"mine": 9, "note": "of the other"}]

    def annotate(page):
        # Neither has seen yet what the other sent.
        say(viewer, kind="bookmark", row=page["mine"], note=None)
        say(viewer, kind="bookmark", row=page["mine"], note=page["note"])
        labels = {page["note"]: True}
        say(viewer, kind="label", env=1, episode=0, labels=labels)

    sent = Sent(viewer)
    for page in pages:
        annotate(page)
    say(viewer, kind="bookmark", row=7, note=None)
    say(viewer, kind="unbookmark", row=3)
    say(viewer, **HELLO)
    expected = {"7": "of one", "9": "of the other"}
    sent.wait(lambda m: m.get("bookmarks") == expected)

    assert cache.bookmarks == {7: "of one", 9: "of the other"}
    assert viewer.bookmarks == [7, 9]
    assert cache.episodes[1].labels == {"of one": True, "of the other": True}
    viewer.bookmarks = [7]  # from Python: these, and no others
    assert cache.bookmarks == {7: "of one"}
    viewer.close()


def test_a_list_of_bookmarks_from_a_page_removes_only_what_the_page_had():
    viewer = rv.view(recording(), bookmarks=[3, 7])
    viewer._subscription.pause()  # the page was not sent row 9
    viewer.cache.bookmark(9, "here")

    viewer.set_state({"bookmarks": [7, 8]})

    assert viewer.cache.bookmarks == {7: "", 8: "", 9: "here"}
    assert viewer.bookmarks == [7, 8, 9]
    viewer.close()


def test_bookmarks_set_by_many_threads_all_stay():
    viewer = rv.view(recording(num_rows=400, num_envs=1))
    viewers = [viewer, rv.view(viewer.cache), rv.view(viewer.cache)]

    def annotate(number):
        for row in range(number, 400, 4):
            message = {"kind": "bookmark", "row": row, "note": str(row)}
            viewers[row % 3]._requests.answer(check(message))

    threads = [threading.Thread(target=annotate, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert viewer.cache.bookmarks == {row: str(row) for row in range(400)}
    for one in viewers:
        assert one.bookmarks == list(range(400))
        one.close()


def test_a_page_marks_a_recording_that_cannot_be_written_in_its_viewer_only(tmp_path):
    cache = recording(num_rows=8, path=tmp_path / "run.rollout")
    cache.flush()
    viewer = rv.view(rv.open(cache.path))

    with pytest.warns(rv.RolloutViewerWarning, match="in this viewer only"):
        viewer._requests.answer(check({"kind": "bookmark", "row": 3, "note": None}))
    assert (viewer.bookmarks, cache.bookmarks) == ([3], {})
    cache.close()
    viewer._requests.answer(check({"kind": "bookmark", "row": 4, "note": "b"}))
    assert (viewer.bookmarks, viewer.cache.bookmarks) == ([3, 4], {4: "b"})
    viewer._requests.answer(check({"kind": "unbookmark", "row": 3}))
    assert viewer.bookmarks == [4]
    viewer.close()


def test_a_page_that_says_hello_gets_the_recording():
    viewer = rv.view(recording(), title="cart", columns=2, fps=12)
    sent = Sent(viewer)

    say(viewer, **HELLO)

    manifest, _ = sent.wait(lambda m: m["kind"] == "manifest")
    data, buffers = sent.wait(lambda m: m["kind"] == "data")
    assert (manifest["title"], manifest["columns"], manifest["fps"]) == ("cart", 2, 12)
    assert manifest["dump_folder"].endswith("rollouts")
    assert (data["count"], len(buffers)) == (40, 5)
    viewer.close()


def test_a_page_that_gets_no_buffers_has_them_as_text():
    viewer = rv.view(recording())
    sent = Sent(viewer)

    say(viewer, **HELLO)
    _, buffers = sent.wait(lambda m: m["kind"] == "data")
    say(viewer, **{**HELLO, "beginning": 2, "as_text": True})

    data, none = sent.wait(lambda m: "base64" in m and m["seq"] == 0)
    assert [base64.b64decode(one) for one in data["base64"]] == buffers
    assert not none
    viewer.close()


def test_a_message_that_is_none_is_shown_in_the_widget():
    viewer = rv.view(recording())
    sent = Sent(viewer)

    viewer._on_message(viewer, {"kind": "nonsense"}, [])

    error, _ = sent.wait(lambda m: m["kind"] == "error")
    assert "Reload the page" in error["message"]
    say(viewer, **HELLO)
    sent.wait(lambda m: m["kind"] == "manifest")
    viewer.close()


def test_a_dump_writes_through_the_logger_that_a_subclass_has(tmp_path):
    class Viewer(rv.RolloutViewer):
        @property
        def logger(self):
            return rv.CSVLogger("own", tmp_path)

    viewer = Viewer(recording(2))

    paths = viewer.dump(formats="csv")

    assert paths
    assert all(path.is_relative_to(tmp_path / "own") for path in paths)


def test_a_dump_writes_through_the_logger(tmp_path):
    logger = rv.CSVLogger("run", log_dir=tmp_path, video_format="mp4")
    viewer = rv.view(recording(), logger=logger, tag="cart")

    video, table = viewer.dump()
    again = viewer.dump("csv", clip=viewer.cache.clip(5, 9))

    assert video == tmp_path / "run" / "videos" / "cart_r0-40_0.mp4"
    assert table == tmp_path / "run" / "tables" / "cart_r0-40_0.csv"
    assert [path.name for path in again] == ["cart_r5-9_0.csv"]
    assert len(list(imageio.imiter(video, plugin="pyav"))) == 40
    assert len(table.read_text().splitlines()) == 1 + 40 * 4
    viewer.close()


def test_the_dump_button_does_the_same_and_tells_the_paths(tmp_path):
    logger = rv.CSVLogger("run", log_dir=tmp_path, video_format="mp4")
    viewer = rv.view(recording(), logger=logger, tag="cart")
    sent = Sent(viewer)

    say(viewer, kind="dump", job=1, formats=["mp4", "csv"], start=3, stop=13)

    done, _ = sent.wait(lambda m: m["kind"] == "job" and m["state"] == "done")
    assert [p.rsplit("/", 1)[1] for p in done["paths"]] == [
        "cart_r3-13_0.mp4",
        "cart_r3-13_0.csv",
    ]
    states = [m["state"] for m, _ in sent.messages if m["kind"] == "job"]
    assert states[0] == "running"
    viewer.close()


def test_a_dump_from_the_page_takes_some_envs_and_refuses_others(tmp_path):
    logger = rv.CSVLogger("run", log_dir=tmp_path, video_format="mp4")
    viewer = rv.view(recording(), logger=logger, tag="cart")
    sent = Sent(viewer)
    order = {"kind": "dump", "formats": ["csv"], "start": 3, "stop": 5}

    say(viewer, **order, job=1, envs=[0, 2])
    say(viewer, **order, job=2, envs=[4])
    say(viewer, **order, job=3, envs=[])

    done, _ = sent.wait(lambda m: m["kind"] == "job" and m["state"] == "done")
    lines = Path(done["paths"][0]).read_text().splitlines()[1:]
    assert [line.split(",")[:2] for line in lines] == [
        [str(row), str(env)] for row in (3, 4) for env in (0, 2)
    ]
    for job in (2, 3):
        failed, _ = sent.wait(
            lambda m, job=job: (
                m["kind"] == "job" and m["job"] == job and m["state"] == "failed"
            )
        )
        assert "expected envs within 0..3" in failed["message"]
    viewer.close()


def test_a_failing_dump_is_told_in_the_page_and_the_next_one_works(tmp_path):
    logger = rv.CSVLogger("run", log_dir=tmp_path, video_format="mp4")
    viewer = rv.view(recording(), logger=logger)
    sent = Sent(viewer)

    say(viewer, kind="dump", job=1, formats=["nonsense"], start=0, stop=9)
    say(viewer, kind="dump", job=2, formats=["csv"], start=50, stop=60)
    say(viewer, kind="dump", job=3, formats=["csv"], start=0, stop=9)

    for job in (1, 2):
        failed, _ = sent.wait(
            lambda m, job=job: (
                m["kind"] == "job" and m["job"] == job and m["state"] == "failed"
            )
        )
        assert "expected" in failed["message"]
    sent.wait(lambda m: m["kind"] == "job" and m["job"] == 3 and m["state"] == "done")
    viewer.close()


def test_a_cancelled_dump_leaves_no_file(tmp_path):
    logger = rv.CSVLogger("run", log_dir=tmp_path, video_format="mp4")
    viewer = rv.view(recording(), logger=logger)
    sent = Sent(viewer)
    started, go_on = threading.Event(), threading.Event()
    log_video = logger.log_video

    def slow(*args, **kwargs):
        started.set()
        assert go_on.wait(60)
        return log_video(*args, **kwargs)

    logger.log_video = slow
    say(viewer, **HELLO)
    say(viewer, kind="dump", job=1, formats=["mp4"], start=0, stop=40)
    assert started.wait(60)
    viewer._jobs.cancel(1)
    go_on.set()

    sent.wait(lambda m: m["kind"] == "job" and m["state"] == "cancelled")
    assert not list((tmp_path / "run").rglob("*.mp4"))
    viewer.close()


def test_a_download_sends_the_file_in_pieces():
    viewer = rv.view(recording(), tag="a/cart")
    sent = Sent(viewer)

    say(viewer, kind="download", job=5, format="mp4", start=0, stop=40)

    sent.wait(lambda m: m["kind"] == "job" and m["state"] == "done")
    pieces = [(m, b) for m, b in sent.messages if m["kind"] == "file"]
    content = b"".join(b[0] for _, b in pieces)
    assert pieces[0][0]["name"] == "cart_r0-40.mp4"
    assert pieces[0][0]["mime"] == "video/mp4"
    assert len(content) == pieces[0][0]["total"]
    assert len(list(imageio.imiter(content, plugin="pyav"))) == 40
    viewer.close()


def test_the_poster_shows_where_no_widget_runs():
    viewer = rv.view(recording())
    viewer.goto(12)

    data, _ = viewer._repr_mimebundle_()

    picture = imageio.imread(base64.b64decode(data["image/png"]))
    height, width = viewer.cache.frame_size(0)
    assert read_count(picture[:height, :width]) == (12, 0)
    assert "application/vnd.jupyter.widget-view+json" in data
    viewer.close()


def test_an_empty_recording_has_no_poster_and_no_snapshot():
    viewer = rv.view(rv.FrameCache())

    data, _ = viewer._repr_mimebundle_()

    assert "image/png" not in data
    with pytest.raises(rv.RowError):
        viewer.snapshot()
    viewer.close()


def test_a_closed_viewer_ends_its_threads_and_leaves_the_recording():
    cache = recording()
    viewer = rv.view(cache)
    sent = Sent(viewer)
    say(viewer, **HELLO)
    sent.wait(lambda m: m["kind"] == "data")
    thread = viewer._stream._thread

    viewer.close()
    viewer.close()

    thread.join(60)
    assert not thread.is_alive()
    assert not cache._subscribers
    cache.append(counting_frames(1, 4)[0])


def test_a_closed_viewer_is_not_kept_alive():
    viewer = rv.view(recording())
    reference = weakref.ref(viewer)

    viewer.close()
    del viewer
    gc.collect()

    assert reference() is None


def test_running_a_cell_again_keeps_nothing_of_the_earlier_run(monkeypatch):
    run = iter("1123")
    monkeypatch.setattr(notebook, "_running_cell", lambda: ("cell", next(run)))
    cache = recording()
    reference = weakref.ref(cache)
    first, beside = rv.view(cache), rv.view(cache)
    for viewer in (first, beside):
        viewer._repr_mimebundle_()
    threads = [viewer._stream._thread for viewer in (first, beside)]
    del viewer
    assert first.comm is not None

    second = rv.view(recording())
    del cache
    for thread in threads:
        thread.join(60)
    gc.collect()

    assert reference() is None
    assert first.comm is None
    assert beside.comm is None
    with pytest.raises(rv.CacheClosedError, match="ran again"):
        first.cache
    third = rv.view(second.cache)
    assert second.cache is third.cache
    third.close()


def test_stats_asks_the_page_what_it_counted():
    viewer = rv.view(recording())
    sent = Sent(viewer)
    counts = {"drawn": 5, "late": 1, "decodes": 9, "hits": 5, "misses": 0}
    take = sent._take

    def answer(content, buffers=None):
        take(content, buffers)
        if content["kind"] == "stats":
            say(viewer, kind="stats", counts=counts)

    viewer.send = answer
    say(viewer, **HELLO)
    sent.wait(lambda m: m["kind"] == "data")

    stats = viewer.stats()

    assert (stats["page_drawn"], stats["page_late"], stats["page_decodes"]) == (5, 1, 9)
    assert stats["messages"] >= 2
    assert stats["bytes"] > 0
    viewer.close()


def test_stats_of_a_viewer_without_a_page_are_the_kernels_own():
    viewer = rv.view(recording())

    stats = viewer.stats()

    assert stats["num_rows"] == 40
    assert stats["messages"] == 0
    assert not [name for name in stats if name.startswith("page_")]
    viewer.close()


def test_data_tells_the_memory_of_the_kernel_and_its_disk():
    viewer = rv.view(recording())
    sent = Sent(viewer)

    say(viewer, **HELLO)

    data, _ = sent.wait(lambda m: m["kind"] == "data")
    assert data["picture_nbytes"] == viewer.cache.nbytes
    assert data["kernel_nbytes"] > 0
    viewer.close()


def test_a_page_of_another_protocol_is_told_to_reload():
    viewer = rv.view(recording())
    sent = Sent(viewer)

    say(viewer, **{**HELLO, "protocol": 99})

    error, _ = sent.wait(lambda m: m["kind"] == "error")
    assert "reload the page" in error["message"]
    viewer.close()


def named_recording(num_rows, start):
    cache = rv.FrameCache()
    for row, frames in enumerate(counting_frames(num_rows, 2, start=start)):
        cache.append(frames, reward=[1.0, 1.0], reset=[row == 0] * 2)
    return cache


def test_compared_recordings_stand_side_by_side_and_the_shorter_ends(tmp_path):
    before, after = named_recording(30, 0), named_recording(50, 100)
    ended = rv.open(before.save(tmp_path / "before.rollout"))

    viewer = rv.view({"before": before, "after": after, "file": ended})

    cache = viewer.cache
    assert (cache.num_rows, cache.num_envs) == (50, 6)
    shown = [read_count(cache[20, env]) for env in range(6)]
    assert shown == [(20, 0), (20, 1), (120, 0), (120, 1), (20, 0), (20, 1)]
    assert not cache.is_shown(40, 0)
    assert read_count(cache[40, 3]) == (140, 1)
    manifest = viewer._manifest()
    assert manifest["groups"] == [["before", 0, 2], ["after", 2, 2], ["file", 4, 2]]
    assert manifest["columns"] == 2
    uneven = rv.view({"one": named_recording(3, 0), "film": counting_frames(5, 3)})
    assert uneven._manifest()["columns"] == 3
    uneven.close()
    folder = cache.recording.path.parent
    viewer.release()
    del viewer, cache
    gc.collect()
    assert not folder.exists()
    before.append(counting_frames(1, 2)[0])  # goes on


def test_a_comparison_takes_what_a_viewer_takes_and_refuses_nothings():
    viewer = rv.view({"array": counting_frames(5, 1)})
    assert viewer.cache.num_rows == 5
    viewer.close()

    with pytest.raises(ValueError, match="empty dict"):
        rv.view({})
    with pytest.raises(rv.RowError, match="rows in 'later'"):
        rv.view({"now": named_recording(3, 0), "later": rv.FrameCache()})
    with pytest.raises(TypeError, match="got int"):
        rv.view({"number": 3})


def test_a_list_of_recordings_is_refused_with_the_way_to_show_several():
    with pytest.raises(TypeError, match="several by name, got a list"):
        rv.view([recording(), recording()])

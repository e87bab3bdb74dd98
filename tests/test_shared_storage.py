"""Recordings that are written to shared storage and shown together."""

from __future__ import annotations

import functools
import importlib.util
import threading
import traceback
import warnings
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache import shared_storage
from rollout_viewer._cache.shared_storage import is_url, recorder_url
from rollout_viewer.testing import CountingEnv
from tests.test_remote_cache import wait_until

fsspec = pytest.importorskip("fsspec", reason="the extra fsspec is not installed")

LENGTHS = (5, 40, 9)


@pytest.fixture(params=["memory", "file"])
def folder(request, tmp_path):
    """A folder of a file system, as a URL."""
    if request.param == "file":
        yield f"file://{tmp_path}/runs"
        return
    fs = fsspec.filesystem("memory")
    yield f"memory://{tmp_path.name}"
    if fs.exists(f"/{tmp_path.name}"):
        fs.rm(f"/{tmp_path.name}", recursive=True)


def play(env, num_episodes):
    for _ in range(num_episodes):
        env.reset()
        has_ended = False
        while not has_ended:
            _, _, terminated, truncated, _ = env.step(0)
            has_ended = terminated or truncated


def write(url, env=0, num_episodes=3, **options):
    """Record episodes to a URL; return it, as it really is."""
    recorded = rv.record(CountingEnv(LENGTHS, env=env), cache=url, **options)
    play(recorded, num_episodes)
    recorded.close()
    recorded.cache.close()
    return recorded.cache.url


def fail(*args, **options):
    raise ConnectionError("no route")


def names(folder):
    fs, path = fsspec.core.url_to_fs(folder)
    return sorted(name.rpartition("/")[2] for name in fs.ls(path, detail=False))


def check(cache, num_envs):
    assert cache.num_envs == num_envs
    for env in range(num_envs):
        episodes = [one for one in cache.episodes if one.env == env]
        assert [one.length for one in episodes] == list(LENGTHS)
        for number, one in enumerate(episodes):
            for step, row in enumerate(range(one.start, one.stop)):
                assert CountingEnv.read(cache[row, env])[:2] == (number, step)
                np.testing.assert_array_equal(cache.at(row, env)["obs"], [number, step])


def test_recordings_of_several_workers_are_shown_side_by_side(folder):
    urls = [f"{folder}/run-{number}.rollout" for number in range(3)]
    threads = [
        threading.Thread(target=write, args=(url, env)) for env, url in enumerate(urls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    cache = rv.open(f"{folder}/*.rollout")

    check(cache, 3)
    assert {CountingEnv.read(cache[0, env])[2] for env in range(3)} == {0, 1, 2}
    whole = {name for name in names(folder) if name.endswith(".rollout")}
    assert len(whole) == 3
    assert set(names(folder)) == whole | {f"{name}.steps" for name in whole}


def test_pictures_are_brought_here_when_they_are_looked_at(folder, monkeypatch):
    for env in range(3):
        write(f"{folder}/run.rollout", env, num_episodes=3)
    fs, _ = fsspec.core.url_to_fs(folder)
    got = []
    get = type(fs).get

    def get_counted(self, sources, targets):
        got.append(sources)
        return get(self, sources, targets)

    monkeypatch.setattr(type(fs), "get", get_counted)

    cache = rv.open(f"{folder}/*.rollout")
    [steps] = got
    assert len(steps) == 3
    assert all(name.endswith(".rollout.steps") for name in steps)
    assert len(cache.episodes) == 9
    assert np.nansum(cache.scalars["reward"]) > 0
    assert cache.nbytes > 0
    rv.view(cache).close()
    assert len(got) == 1

    cache.clip(envs=[1])
    assert CountingEnv.read(cache[7, 1])[1] == 1
    assert len(got) == 2
    assert [name.endswith(".rollout") for name in got[1]] == [True]


def test_a_recording_without_step_data_beside_it_is_read_as_a_whole(folder):
    url = write(f"{folder}/run.rollout")
    fs, path = fsspec.core.url_to_fs(url)
    fs.rm(f"{path}.steps")

    check(rv.open(url), 1)


def test_what_was_sent_is_shown_while_more_is_recorded(folder):
    env = rv.record(CountingEnv((100,)), cache=f"{folder}/run.rollout")
    env.reset()
    for _ in range(40):
        env.step(0)
    env.cache.flush()
    early = rv.open(env.cache.url)
    for _ in range(30):
        env.step(0)
    env.cache.flush()  # whose pictures are later than the step data that is open
    late = rv.open(env.cache.url)

    for cache, length in ((early, 40), (late, 70)):
        assert [one.length for one in cache.episodes] == [length]
        for row in range(length + 1):
            assert CountingEnv.read(cache[row, 0])[1] == row
    env.close()


def test_each_recorder_has_an_object_of_its_own(folder):
    first, second = (write(f"{folder}/run.rollout", env) for env in range(2))

    assert first != second
    assert first.endswith(".rollout")
    check(rv.open(f"{folder}/*.rollout"), 2)
    assert rv.FrameCache(f"{folder}/a.rollout").url.endswith("/a.rollout")


def test_recorders_of_one_process_do_not_send_to_the_same_object(folder):
    url = f"{folder}/run.rollout"
    first, second = (rv.record(CountingEnv((5,), env=n), cache=url) for n in (1, 2))
    play(first, 3)
    play(second, 1)
    for env in (first, second):
        env.close()
        env.cache.close()

    assert first.cache.url != second.cache.url
    assert len(rv.open(first.cache.url).episodes) == 3
    assert len(rv.open(second.cache.url).episodes) == 1


def append(cache, num_rows, size=(4, 4), data=0, first=0):
    """Record rows of one episode, the numbers of which their pictures show."""
    for row in range(first, first + num_rows):
        cache.append(
            np.full((*size, 3), row % 250, np.uint8),
            data={"obs": np.random.default_rng(row).normal(size=(1, data))},
            **({"reset": [True]} if row == 0 else {"reward": 1.0}),
        )


@pytest.mark.parametrize("kind", ["pictures", "data", "later"])
def test_it_is_sent_again_when_it_has_grown_by_half(folder, kind):
    make = functools.partial(CountingEnv, (7,))
    options = {"render": "later", "make_env": make} if kind == "later" else {}
    env = rv.record(make(), cache=f"{folder}/run.rollout", **options)
    cache, sizes = env.cache, []
    for turn in range(60):
        if kind == "later":
            play(env, 1)
        else:
            append(cache, 8, (32, 32), 0 if kind == "pictures" else 300, turn * 8)
        if cache._upload.is_due(cache.recording):
            cache.flush()
            sizes.append(cache.num_rows)

    assert sizes[-1] > cache.num_rows / 1.6
    assert sum(sizes) < 3.5 * cache.num_rows
    assert rv.open(cache.url).num_rows == sizes[-1]
    cache.clear()
    append(cache, 2)
    assert cache._upload.is_due(cache.recording)
    env.close()


def test_step_data_whose_pictures_come_later_is_sent_while_it_is_recorded(
    folder, monkeypatch
):
    monkeypatch.setattr(shared_storage, "_CHECK_S", 0.01)
    make = functools.partial(CountingEnv, (7,))
    env = rv.record(
        make(), cache=f"{folder}/run.rollout", render="later", make_env=make
    )
    url = env.cache.url
    play(env, 1)
    # Step data comes last, and has no more rows than the whole one.
    fs, path = fsspec.core.url_to_fs(f"{url}.steps")
    wait_until(lambda: fs.exists(path))
    play(env, 30)

    wait_until(lambda: rv.open(url).num_rows > 8)
    env.close()


def test_what_is_there_already_is_not_sent_again(folder, monkeypatch):
    sent = []
    env = rv.record(CountingEnv(LENGTHS), cache=f"{folder}/run.rollout")
    cache = env.cache
    put = type(cache._upload._fs).put_file

    def put_counted(self, source, path, **options):
        sent.append(path)
        return put(self, source, path, **options)

    monkeypatch.setattr(type(cache._upload._fs), "put_file", put_counted)
    play(env, 1)

    env.close()
    cache.flush()
    cache.close()
    cache.close()
    assert len(sent) == 2
    cache.label(cache.episodes[0], "crash")
    cache.close()
    assert len(sent) == 4
    assert "crash" in rv.open(cache.url).episodes[0].labels


@pytest.mark.parametrize("change", ["bookmark", "label", "metadata"])
def test_what_is_noted_between_two_ends_is_sent(folder, change):
    env = rv.record(CountingEnv(LENGTHS), cache=f"{folder}/run.rollout")
    play(env, 1)
    env.close()
    cache = env.cache
    if change == "bookmark":
        cache.bookmark(2, "here")
    elif change == "label":
        cache.label(cache.episodes[0], "crash")
    else:
        cache.update_metadata(noted=1)
    cache.close()

    found = rv.open(cache.url)
    assert found.bookmarks == cache.bookmarks
    assert found.episodes[0].labels == cache.episodes[0].labels
    assert found.metadata == cache.metadata


def test_an_object_that_is_brought_here_otherwise_does_not_grow(folder, tmp_path):
    env = rv.record(CountingEnv(LENGTHS), cache=f"{folder}/run.rollout")
    play(env, 3)
    env.close()
    env.cache.close()
    fs, path = fsspec.core.url_to_fs(env.cache.url)
    fs.get_file(path, str(tmp_path / "copy.rollout"))

    cache = rv.open(tmp_path / "copy.rollout")
    assert cache.is_closed
    check(cache, 1)


def test_pictures_of_what_was_recorded_since_are_not_those_of_before(folder):
    cache = rv.FrameCache(f"{folder}/run.rollout")
    append(cache, 5)
    cache.flush()
    early = rv.open(cache.url)
    cache.clear()
    append(cache, 6)
    cache.flush()

    for _ in range(2):
        with pytest.raises(
            rv.RecordingError, match=r"written anew.* rv\.open it again"
        ):
            early[1, 0]
    assert early.num_rows == 5
    assert rv.open(cache.url)[1, 0][0, 0, 0] == 1


def test_a_fault_of_the_storage_ends_no_run_and_loses_nothing(folder, monkeypatch):
    env = rv.record(CountingEnv(LENGTHS), cache=f"{folder}/run.rollout")
    cache = env.cache
    fs, _ = fsspec.core.url_to_fs(folder)

    monkeypatch.setattr(type(fs), "put_file", fail)
    play(env, 3)
    with pytest.raises(rv.StorageError, match=r"no route.*All of it is in '.*unsent"):
        cache.close()

    path = cache.path
    with pytest.warns(rv.RolloutViewerWarning, match="no route"):
        cache._finalizer()
    check(rv.open(path), 1)
    path.unlink()


def test_the_end_of_an_env_warns_of_a_fault_of_the_storage(folder, monkeypatch):
    env = rv.record(CountingEnv(LENGTHS), cache=f"{folder}/run.rollout")
    cache = env.cache
    play(env, 3)
    with monkeypatch.context() as patched:
        patched.setattr(type(cache._upload._fs), "put_file", fail)
        with pytest.warns(rv.RolloutViewerWarning, match="no route.*All of it is in"):
            env.close()
    with pytest.raises(rv.RecordingError, match="got none"):
        rv.open(cache.url)

    cache.close()
    check(rv.open(cache.url), 1)


def test_labels_that_cannot_be_sent_are_kept_here(folder, monkeypatch):
    cache = rv.FrameCache(f"{folder}/run.rollout")
    append(cache, 3)
    cache.close()
    cache.label(cache.episodes[0], "crash")
    path = cache.path
    monkeypatch.setattr(type(cache._upload._fs), "put_file", fail)

    with pytest.warns(rv.RolloutViewerWarning, match="no route.*All of it is in"):
        del cache

    assert "crash" in rv.open(path).episodes[0].labels
    path.unlink()


def test_a_cache_that_is_dropped_is_sent_and_leaves_no_file(folder):
    cache = rv.FrameCache(f"{folder}/run.rollout")
    cache.append(np.zeros((4, 4, 3), np.uint8))
    path, url = cache.path, cache.url
    assert path.exists()

    del cache

    assert not path.exists()
    assert rv.open(url).num_rows == 1
    empty = rv.FrameCache(f"{folder}/empty.rollout")
    empty.close()
    with pytest.raises(rv.RecordingError, match="got none"):
        rv.open(empty.url)


def test_what_is_labelled_after_the_end_is_sent_too(folder):
    cache = rv.FrameCache(f"{folder}/run.rollout")
    cache.append(np.zeros((4, 4, 3), np.uint8), reset=[True])
    cache.append(np.zeros((4, 4, 3), np.uint8), reward=1.0, terminated=True)
    cache.close()
    cache.label(cache.episodes[0], "crash")
    path, url = cache.path, cache.url

    del cache

    assert not path.exists()
    [episode] = rv.open(url).episodes
    assert "crash" in episode.labels


def test_shared_recordings_are_not_changed_and_can_be_copied(folder, tmp_path):
    url = write(f"{folder}/run.rollout")
    cache = rv.open(url)

    with pytest.raises(rv.ReadOnlyError, match=r"rv\.open\(url\)\.save\(path\)"):
        cache.label(cache.episodes[0], "crash")
    check(rv.open(cache.save(tmp_path / "copy.rollout")), 1)


def test_pictures_that_are_rendered_later_are_rendered_in_a_copy(folder, tmp_path):
    make = functools.partial(CountingEnv, LENGTHS)
    url = write(f"{folder}/run.rollout", render="later", make_env=make)
    cache = rv.open(url, make_env=make)

    with pytest.raises(rv.ReadOnlyError, match="expected a recording of this machine"):
        cache.render(workers=1, progress=False)
    copy = rv.open(cache.save(tmp_path / "copy.rollout"), make_env=make)
    copy.render(workers=1, progress=False)
    check(copy, 1)


def test_what_is_no_recording_is_refused(folder, tmp_path):
    fs, path = fsspec.core.url_to_fs(f"{folder}/text.rollout")
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    fs.pipe_file(path, b"text")
    with pytest.raises(rv.RecordingError, match="text"):
        rv.open(f"{folder}/text.rollout")
    with pytest.raises(rv.RecordingError, match=r"expected recordings at .*, got none"):
        rv.open(f"{folder}/*.nothing")
    with pytest.raises(rv.RecordingError, match="a URL that fsspec knows, got 'nose:/"):
        rv.open("nose://a/b.rollout")
    if importlib.util.find_spec("gcsfs") is None:
        with pytest.raises(rv.MissingDependencyError, match="gcsfs"):
            rv.open("gs://a/b.rollout")
    with pytest.raises(ValueError, match="expected URLs or paths, got both"):
        rv.open([f"{folder}/text.rollout", tmp_path / "a.rollout"])


def test_urls_are_told_from_paths():
    assert is_url("s3://a/b")
    assert is_url("filecache::s3://a/b")
    assert not is_url("C:\\a")
    assert not is_url("runs/a.rollout")
    name = recorder_url("s3://a.b/c/run.v1.rollout").rpartition("/")
    assert name[0] == "s3://a.b/c"
    assert name[2].startswith("run.v1-")
    assert name[2].endswith(".rollout")


def test_a_recording_whose_disk_is_full_is_sent_all_the_same(folder):
    noise = np.random.default_rng(0).integers(0, 256, (70, 1, 40, 40, 3), np.uint8)
    cache = rv.FrameCache(f"{folder}/run.rollout")
    cache.append(noise[0])
    cache.flush()
    # SQLite's own limit gives the same error as a full disk.
    recording: Any = cache.recording
    connection = recording._file._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, picture in enumerate(noise[1:], 1):
            cache.append(picture, reward=[row])
    with pytest.raises(rv.StorageError, match="full"):
        cache.close()

    sent = rv.open(cache.url)
    assert sent.num_rows == len(noise)
    assert sent.scalars["reward"][-1] == [len(noise) - 1]
    np.testing.assert_array_equal(sent[-1, 0], noise[-1, 0])


def test_what_others_have_written_since_is_found(tmp_path):
    from fsspec.implementations.local import LocalFileSystem

    class ListingFileSystem(LocalFileSystem):
        """Keeps what it has listed, as those of object stores do."""

        protocol = "listing"

        def ls(self, path, detail=False, **options):
            path = self._strip_protocol(path)
            if path not in self.dircache:
                self.dircache[path] = super().ls(path, detail=True)
            found = self.dircache[path]
            return found if detail else [one["name"] for one in found]

        def invalidate_cache(self, path=None):
            self.dircache.clear()

    fsspec.register_implementation("listing", ListingFileSystem, clobber=True)
    write(f"file://{tmp_path}/a.rollout")
    assert rv.open(f"listing://{tmp_path}/*.rollout").num_envs == 1
    write(f"file://{tmp_path}/b.rollout", 1)

    check(rv.open(f"listing://{tmp_path}/*.rollout"), 2)


@pytest.mark.parametrize("name", ["a.rollout", "*.rollout"])
def test_no_message_has_credentials(name):
    url = f"ftp://bob:s3cr@t@127.0.0.1:1/{name}"
    calls = [
        lambda: rv.open(url),
        lambda: rv.FrameCache(url),
        lambda: rv.open([url, "a.rollout"]),
        lambda: rv.FrameCache(url.replace("ftp:", "nose:")),
        lambda: rv.open(url.replace("ftp:", "nose:")),
    ]
    for call in calls:
        with pytest.raises((rv.RolloutViewerError, ValueError)) as caught:
            call()
        shown = "".join(traceback.format_exception(caught.value, chain=True))
        assert "s3cr" not in shown
        assert "***@127.0.0.1" in str(caught.value)


def test_no_message_has_what_a_signed_url_is_signed_with():
    url = "ftp://127.0.0.1:1/a.rollout?X-Amz-Signature=s3cr&Expires=2"
    for call in (lambda: rv.open(url), lambda: rv.FrameCache(url)):
        with pytest.raises(rv.RolloutViewerError) as caught:
            call()
        shown = "".join(traceback.format_exception(caught.value, chain=True))
        assert "s3cr" not in shown
        assert "127.0.0.1:1/a.rollout?***" in str(caught.value)
    with pytest.raises(rv.RecordingError, match=r"memory://none/\?\.rollout"):
        rv.open("memory://none/?.rollout")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ftp://me:s3cret@box:22/deep/a.rollout", "ftp://me@box:22/deep/a-1.rollout"),
        ("ftp://box/deep/a.rollout", "ftp://box/deep/a-1.rollout"),
    ],
)
def test_the_url_of_a_recording_has_the_host_of_the_one_that_was_given(
    given, expected, monkeypatch
):
    ftp = pytest.importorskip("fsspec.implementations.ftp").FTPFileSystem
    monkeypatch.setattr(ftp, "__del__", lambda self: None)
    fs = ftp.__new__(ftp)  # not connected
    path = fs._strip_protocol(given).replace("a.rollout", "a-1.rollout")

    assert shared_storage._url_at(fs, path, given) == expected

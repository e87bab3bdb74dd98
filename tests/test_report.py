"""The page and the figure of an evaluation."""

import base64
import html.parser
import io
import re
from typing import Any

import matplotlib.figure
import numpy as np
import PIL.Image
import pytest

import rollout_viewer as rv
from rollout_viewer._errors import ExportTooLargeError, RowError
from rollout_viewer._evaluate.chosen import choose_groups
from rollout_viewer._evaluate.excerpt import excerpt
from rollout_viewer._evaluate.figure import draw_curves
from rollout_viewer._evaluate.strips import strip_png
from tests.evaluations import add_episodes, two_policies

HOSTILE = (
    '</title></iframe><script>alert(1)</script><img src=x onerror="alert(2)">$\x1b'
)


class Page(html.parser.HTMLParser):
    """What is in a page: its text, its tags with attributes."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags = "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def is_good(episode):
    return episode.total_reward >= 2


def page_of(sources, tmp_path, **options):
    path = rv.report(sources, tmp_path / "report.html", **options)
    return Page(path.read_text("utf-8"))


def test_a_report_says_what_was_compared_and_what_came_out(tmp_path):
    cache = two_policies(tmp_path / "eval.rollout")
    cache.update_metadata(env_id="Lander-v3")
    page = page_of(cache, tmp_path, success=is_good)

    assert "2 policies in Lander-v3, 8 episodes that ended" in page.text
    assert "after is not shown to return more or less than before: +1" in page.text
    assert "It is better on 2 of them and worse on 1 (sign test: p = 1)" in page.text
    assert "75.0 % (30.1 to 95.4)" in page.text
    assert "after succeeds, before fails (seed 0)" in page.text
    assert "before succeeds, after fails (seed 2)" in page.text
    assert "before: return 3, 2 steps, succeeded, terminated" in page.text
    assert "Recordings: eval.rollout" in page.text
    written = (tmp_path / "report.html").read_text("utf-8")
    assert re.findall(r"<td>(\d)</td><td>after</td>", written) == ["2", "0", "3", "1"]


def test_the_viewer_of_a_report_is_in_a_frame_that_may_not_reach_the_page(tmp_path):
    page = page_of(two_policies(), tmp_path, success=is_good)

    (frame,) = page.all("iframe")
    assert frame["sandbox"] == "allow-scripts allow-downloads"
    inner = Page(frame["srcdoc"])
    kinds = {script.get("type") for script in inner.all("script")}
    assert kinds == {"module", "application/json", "text/plain"}
    assert page.all("script") == []
    assert page.all("link") == []
    (policy,) = (meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; ")
    assert all(image["src"].startswith("data:image/png") for image in page.all("img"))


def test_names_are_text_in_a_report_whatever_is_in_them(tmp_path):
    cache = two_policies(names=("before", HOSTILE))
    cache.update_metadata(env_id=HOSTILE)

    page = page_of(cache, tmp_path, success=is_good)
    titled = page_of(two_policies(), tmp_path, title=HOSTILE)

    for one in (page, titled):
        assert one.all("script") == []
        assert "alert(1)</script>" in one.text
        assert len(one.all("iframe")) == 1
        assert not any("onerror" in attributes for _, attributes in one.tags)
        inner = Page(one.all("iframe")[0]["srcdoc"])
        assert not any("onerror" in attributes for _, attributes in inner.tags)


def test_strips_are_pictures_of_their_episodes_from_first_to_last_row(tmp_path):
    page = page_of(two_policies(), tmp_path, success=is_good)

    strips = [image["src"] for image in page.all("img") if not image["alt"]]

    # lost on seed 2: before, whose three pictures are gray, 20, 21 and 22
    data = base64.b64decode(strips[0].partition(",")[2])
    strip = np.asarray(PIL.Image.open(io.BytesIO(data)))
    assert strip.shape[0] == 12
    assert [strip[5, 19 * k + 8, 0] for k in range(3)] == [20, 21, 22]


def test_an_excerpt_is_exact_and_has_the_chosen_episodes_alone():
    cache = two_policies()
    result = rv.EvaluationResult.from_recordings(cache, success=is_good)
    (lost, *_) = choose_groups(result.lines, result.comparisons)

    with excerpt(lost.episodes) as copy:
        found = [(one.segment, one.seed, one.success) for one in copy.episodes]
        assert found == [("before", 2, True), ("after", 2, False)]
        assert [one.total_reward for one in copy.episodes] == [3.0, 1.0]
        for one, of_copy in zip(lost.episodes, copy.episodes, strict=True):
            start, stop = one.episode.start, one.episode.stop
            assert np.array_equal(
                cache[start:stop, 0], copy[of_copy.start : of_copy.stop, 0]
            )


def test_an_excerpt_has_actions_data_and_cameras_of_its_env():
    cache = rv.FrameCache()
    for row in range(4):
        frames = {
            name: [np.full((8, 9, 3), 10 * env + row, np.uint8) for env in range(2)]
            for name in ("front", "back")
        }
        cache.append(
            frames,
            reward=[1.0, 2.0],
            reset=[row == 0, row == 0],
            terminated=[False, row == 3],
            action=None if row == 0 else [[row, 0], [row, 5]],
            data={"obs": np.array([[row], [row + 0.5]])},
        )
    result = rv.EvaluationResult.from_recordings(cache)
    (group,) = choose_groups(result.lines, result.comparisons)

    with excerpt(group.episodes) as copy:
        assert list(copy.cameras) == ["front", "back"]
        assert (copy.frames(3, [0], "back") == 13).all()
        assert copy.column("action")[:3, 0].tolist() == [[1, 5], [2, 5], [3, 5]]
        assert copy.column("obs")[:, 0, 0].tolist() == [0.5, 1.5, 2.5, 3.5]
        assert copy.episodes[0].total_reward == 6.0


def test_rows_in_which_the_env_was_idle_are_in_no_strip_curve_or_excerpt():
    cache = rv.FrameCache()
    for row, kind in enumerate(["reset", "step", "idle", "idle", "step"]):
        cache.append(
            np.full((2, 8, 9, 3), 10 * row, np.uint8),
            kind=[kind, "idle"],
            reward=[1.0, np.nan] if kind == "step" else None,
            terminated=[row == 4, False],
        )
    result = rv.EvaluationResult.from_recordings(cache)
    (group,) = choose_groups(result.lines, result.comparisons)

    (curve,) = draw_curves(result.lines).axes[0].lines
    strip = PIL.Image.open(io.BytesIO(base64.b64decode(strip_png(group.episodes[0]))))
    with excerpt(group.episodes) as copy:
        assert copy[:, 0][:, 0, 0, 0].tolist() == [0, 10, 40]
        assert copy.episodes[0].total_reward == 2.0
    assert np.asarray(strip)[0, 4::12, 0].tolist() == [0, 10, 40]
    assert curve.get_xydata().tolist()[1:] == [[1.0, 1.0], [2.0, 2.0]]


def test_a_report_keeps_to_its_size(tmp_path):
    random = np.random.default_rng(0)
    cache = rv.FrameCache()
    for name in ("a", "b"):
        with cache.segment(name):
            for seed in range(4):
                for row in range(12):
                    noise = random.integers(0, 255, (1, 60, 80, 3), np.uint8)
                    cache.append(
                        noise,
                        reward=None if row == 0 else [seed],
                        reset=[row == 0],
                        terminated=[row == 11],
                        episode_info={0: {"seed": seed}} if row == 0 else None,
                    )
    sizes = {}
    for max_mb in (20, 2.2, 1):
        path = tmp_path / f"{max_mb}.html"
        rv.report(cache, path, max_mb=max_mb, success=lambda one: one.segment == "b")
        sizes[max_mb] = path.stat().st_size
        page = Page(path.read_text("utf-8"))
        assert sizes[max_mb] <= max_mb * 1e6
        assert "Where this comes from" in page.text
    assert sizes[20] > sizes[2.2] > sizes[1]
    with pytest.raises(ExportTooLargeError, match="without the viewer"):
        rv.report(cache, tmp_path / "small.html", max_mb=0.01)
    wrong: list[Any] = [0, -1, float("nan"), "3", None]
    for given in wrong:
        with pytest.raises(ValueError, match="expected max_mb > 0"):
            rv.report(cache, tmp_path / "small.html", max_mb=given)
    assert not (tmp_path / "small.html").exists()
    with pytest.raises(ValueError, match=r"report: .* as 'a.html', got 'a.pdf'"):
        rv.report(cache, tmp_path / "a.pdf")


def test_recordings_without_pictures_and_without_pairs_have_a_report_too(tmp_path):
    cache = rv.FrameCache()
    cache.append(None, reset=[True])
    cache.append(None, reward=[1.0], terminated=[True])

    page = page_of({"alone": cache, "other": two_policies()}, tmp_path)
    alone = page_of(cache, tmp_path)

    assert "other and alone have no seed in common" in page.text
    assert "No pictures were recorded." in alone.text
    assert alone.all("iframe") == []


def test_a_list_of_files_is_compared_by_their_names(tmp_path):
    paths = [tmp_path / "one.rollout", tmp_path / "two.rollout"]
    for number, path in enumerate(paths):
        with rv.FrameCache(path) as cache:
            add_episodes(cache, {0: [1.0 + number], 1: [2.0]})

    assert "two against one" in page_of(paths, tmp_path).text


def test_what_no_report_can_be_made_of_is_refused(tmp_path):
    result = rv.EvaluationResult.from_recordings(two_policies())

    with pytest.raises(ValueError, match="with an EvaluationResult, which has its own"):
        rv.report(result, tmp_path / "a.html", success=is_good)
    with pytest.raises(RowError, match=r"rv\.report: expected episodes that ended"):
        rv.report(rv.FrameCache(), tmp_path / "a.html")
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_kept(tmp_path):
    result = rv.EvaluationResult.from_recordings(two_policies())

    (tmp_path / "a.html").write_text("older")

    assert result.report(tmp_path / "a.html").name == "a-1.html"
    assert (tmp_path / "a.html").read_text() == "older"
    assert result.report(tmp_path / "a.html", overwrite=True).name == "a.html"


def test_the_figure_has_a_dot_for_each_episode_and_a_mark_for_each_seed():
    result = rv.EvaluationResult.from_recordings(
        two_policies(names=("before", "$after")), success=is_good
    )

    figure = result.figure()

    assert isinstance(figure, matplotlib.figure.Figure)
    returns, differences = figure.axes
    dots = [len(one.get_offsets()) for one in returns.collections]
    assert dots == [4, 4]
    marks = np.concatenate([one.get_offsets() for one in differences.collections[:3]])
    assert sorted(marks[:, 1].tolist()) == [-2.0, 0.0, 1.0, 5.0]
    legend = [one.get_text() for one in differences.get_legend().get_texts()]
    assert legend == ["success gained (1)", "success lost (1)"]
    # A legend among the marks would be one of them.
    figure.canvas.draw()
    box = differences.get_legend().get_window_extent()
    assert not box.overlaps(differences.get_window_extent().padded(-0.5))
    assert not box.overlaps(differences.xaxis.label.get_window_extent())
    assert figure.bbox.containsx(box.x1)
    assert figure.bbox.containsy(box.y0)


def test_metadata_of_any_type_is_named(tmp_path):
    with rv.FrameCache(metadata={"env_id": ["Reach-v1", "Push-v1"]}) as cache:
        add_episodes(cache, {0: [1.0]})

        page = rv.report(cache, tmp_path / "a.html").read_text("utf-8")

    assert "1 policy in [&#x27;Reach-v1&#x27;, &#x27;Push-v1&#x27;], 1 episodes" in page

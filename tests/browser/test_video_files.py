"""A browser plays what was exported, and shows frame n when it is its turn."""

import base64

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer.testing import counting_recording, read_row

NUM_FRAMES, FPS = 40, 25

# Seeks to the middle of each frame's time; returns what is drawn then, as RGBA.
SEEK_JS = """async ([source, times]) => {
  const video = document.createElement('video');
  const seen = name => new Promise((done, failed) => {
    video.addEventListener(name, done, {once: true});
    video.addEventListener('error', () => failed(video.error.message), {once: true});
  });
  const loaded = seen('loadeddata');
  video.src = source;
  await loaded;
  const canvas = document.createElement('canvas');
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  const pictures = [];
  for (const time of times) {
    const sought = seen('seeked');
    // With other work on the machine a frame may be shown after its seek has ended.
    const drawn = new Promise(done => {
      video.requestVideoFrameCallback(done);
      setTimeout(done, 2000);
    });
    video.currentTime = time;
    await sought;
    await drawn;
    context.drawImage(video, 0, 0);
    const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
    pictures.push(Array.from(data));
  }
  return [video.duration, canvas.height, canvas.width, pictures];
}"""


@pytest.mark.browser
@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_the_browser_shows_frame_n_at_its_time(new_page, tmp_path, suffix):
    (path,) = (
        counting_recording(NUM_FRAMES).clip().write(tmp_path / f"a.{suffix}", fps=FPS)
    )
    wanted = [0, 1, 2, 17, 38, 39, 5]
    source = (
        f"data:video/{suffix};base64,{base64.b64encode(path.read_bytes()).decode()}"
    )
    page = new_page(offline=True)

    duration, height, width, pictures = page.evaluate(
        SEEK_JS, [source, [(number + 0.5) / FPS for number in wanted]]
    )

    assert duration == pytest.approx(NUM_FRAMES / FPS, abs=0.05)
    frames = [np.reshape(p, (height, width, 4)).astype(np.uint8) for p in pictures]
    assert [read_row(frame[..., :3]) for frame in frames] == wanted


@pytest.mark.browser
def test_the_browser_shows_the_colors_that_were_recorded(new_page, tmp_path):
    colors = np.array([(200, 30, 60), (20, 90, 220), (255, 255, 255), (0, 0, 0)])
    cache = rv.FrameCache(fps=FPS)
    for color in colors:
        cache.append(np.full((1, 64, 64, 3), color, np.uint8))
    (path,) = cache.clip().write(tmp_path / "a.mp4")
    source = f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"

    _, height, width, pictures = new_page(offline=True).evaluate(
        SEEK_JS, [source, [(number + 0.5) / FPS for number in range(4)]]
    )

    for picture, color in zip(pictures, colors, strict=True):
        shown = np.reshape(picture, (height, width, 4))[32, 32, :3]
        # With another matrix it would be 20 and more.
        assert np.abs(shown - color).max() <= 10

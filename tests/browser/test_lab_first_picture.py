"""The first pictures of a viewer in JupyterLab: decoded once, in the size they stay."""

from tests.browser.driver import NUM_ENVS, RECORD, SHOW, Viewer, rest

# Notes each tile whose whole picture a worker is asked for.
WATCH_JS = """() => {
  window.askedInFull = [];
  const Plain = window.Worker;
  window.Worker = class extends Plain {
    postMessage(task, ...others) {
      for (const one of task.slots ?? [])
        if (one.isFull) window.askedInFull.push(one.slot);
      super.postMessage(task, ...others);
    }
  };
}"""
LARGE = RECORD.replace("height=48, width=64", "height=400, width=600")


def test_first_pictures_are_decoded_once(lab):
    notebook = lab(LARGE, SHOW, is_alone=True)
    notebook.page.evaluate(WATCH_JS)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()

    rest(viewer.root)

    asked = notebook.page.evaluate("() => window.askedInFull")
    assert sorted(asked) == list(range(NUM_ENVS))


def test_numbers_are_written_into_the_text_that_is_there(lab):
    notebook = lab(RECORD, SHOW)
    notebook.run_all()
    viewer = Viewer(notebook)
    viewer.wait_until_loaded()
    number = viewer.root.locator(".rv-return b").first
    before = number.text_content()
    number.evaluate("el => { window.textBefore = el.firstChild; }")

    viewer.press("ArrowRight")
    viewer.wait("row", 1)

    assert number.text_content() != before
    assert number.evaluate("el => el.firstChild === window.textBefore")

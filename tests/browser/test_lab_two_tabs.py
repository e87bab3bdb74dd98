"""One notebook in two tabs of JupyterLab: what is annotated in one is in the other."""

from tests.browser.driver import RECORD, SHOW, Viewer

STATE = "print(cache.bookmarks, viewer.bookmarks, dict(cache.episodes[1].labels))"


def annotate(viewer, env, note, label):
    """Bookmark the row of the playhead with a note, and label an env's episode."""
    root, page = viewer.root, viewer.page
    root.locator(".rv-tile").nth(env).click()
    viewer.press("b")
    page.keyboard.type(note)
    root.get_by_role("textbox", name="Custom label").fill(label)
    page.keyboard.press("Enter")
    root.locator(f'[data-label="{label}"][aria-pressed="true"]').wait_for()


def wait_for_marks(viewer, notes, labels):
    """Wait until a tab lists these bookmarks with their notes, and these labels."""
    viewer.page.wait_for_function(
        """([root, notes, labels]) => {
          const texts = [...root.querySelectorAll('.rv-bookmarks button')]
            .map(button => button.textContent);
          const set = [...root.querySelectorAll('[data-label][aria-pressed="true"]')]
            .map(chip => chip.dataset.label);
          return `${[texts, set.sort()]}` === `${[notes, labels]}`;
        }""",
        arg=[viewer.root.element_handle(), notes, labels],
    )


def test_two_tabs_of_a_notebook_keep_each_others_bookmarks_notes_and_labels(
    lab, jupyter, new_page
):
    notebook = lab(RECORD, SHOW, STATE, is_alone=True)
    notebook.run_cell(0)
    notebook.run_cell(1)
    one = Viewer(notebook)
    one.wait_until_loaded()
    notebook.save()
    other_tab = type(notebook)(new_page(), jupyter, notebook.folder)
    assert other_tab.kernel == notebook.kernel
    other = Viewer(other_tab)
    other.wait_until_loaded()

    one.press("Home", "ArrowRight")
    one.wait("row", 1)
    annotate(one, 1, "of one", "first")
    other.press("Home", "ArrowRight", "ArrowRight")
    other.wait("row", 2)
    annotate(other, 1, "of the other", "second")

    notes = ["row 1 \u00b7 of one", "row 2 \u00b7 of the other"]
    for viewer in (one, other):
        wait_for_marks(viewer, notes, ["first", "second"])
    notebook.run_cell(2)
    assert notebook.text(2).strip() == (
        "{1: 'of one', 2: 'of the other'} [1, 2] {'first': True, 'second': True}"
    )

    # What one removes is removed in both, and nothing else is.
    other.root.locator(".rv-notes").get_by_role("button", name="Remove").click()
    one.press("End")
    wait_for_marks(one, notes[:1], ["first", "second"])
    notebook.run_cell(2)
    assert notebook.text(2).startswith("{1: 'of one'} [1]")

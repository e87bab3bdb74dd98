"""The document of a page in a file: its head, its messages as elements, its script.

A Content-Security-Policy inside lets it run its own script and style, decode in workers
made of that script, and nothing else: it can load nothing, and send nothing anywhere.
Knows text only.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The script runs while the messages below it still come: the first picture is early.
_DOCUMENT = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="rollout_viewer">
<title>{title}</title>
<style>{page_style}</style>
<style>{style}</style>
</head>
<body>
<div data-rollout-viewer{place}></div>
<noscript>{poster}<p>{title}: this recording plays with JavaScript.</p></noscript>
<script type="module" async>{script}</script>
"""
# Unpacked when it is used: js/src/view/load-part.ts.
_PART = '<script type="text/plain" class="rollout-viewer-part-{}">{}</script>\n'
_DOCUMENT_END = """\
<!-- Packed: Mediabunny, Mozilla Public License 2.0, npmjs.com/package/mediabunny -->
{}</body>
</html>
"""
_PAGE_STYLE = """
html { color-scheme: light dark; }
body { margin: 0; background: light-dark(#fff, #17191d); }
noscript { display: block; padding: 12px; }
noscript img { max-width: 100%; }
"""
_MESSAGE = (
    '<script type="application/json" class="rollout-viewer-message">{}</script>\n'
)
# Below it, unpacking costs more than the bytes that it saves.
_WORTH_DEFLATING = 0.9


def document_head(
    *, title: str, poster: str, style: str, script: str, place: str = ""
) -> str:
    """Return the document as far as its messages.

    Args:
        title: Any text.
        poster: HTML that is shown where no script runs.
        style: The style sheet.
        script: The module.
        place: With which it begins, as in an address: "#row=866&env=3".
    """
    style = style.replace("</style", r"<\/style")
    # Both can occur only in its strings and comments, where the slash is harmless.
    script = script.replace("</script", r"<\/script").replace("<!--", r"<\!--")
    script, style = f"\n{script}\n", f"\n{style}\n"
    # In one go: what is inserted is not looked at again.
    return _DOCUMENT.format(
        policy=_policy([script], [_PAGE_STYLE, style]),
        title=html.escape(title),
        page_style=_PAGE_STYLE,
        style=style,
        poster=poster,
        script=script,
        place=f' data-place="{html.escape(place)}"' if place else "",
    )


def document_end(parts: Mapping[str, bytes]) -> str:
    """Return the rest of the document, with packed modules by name."""
    elements = (
        _PART.format(name, base64.b64encode(packed).decode())
        for name, packed in parts.items()
    )
    return _DOCUMENT_END.format("".join(elements))


def message_element(content: object, buffers: Sequence[bytes]) -> str:
    """Return a message as the element that js/src/standalone.ts reads, plain ASCII."""
    packed = [zlib.compress(buffer, 6) for buffer in buffers]
    size = sum(map(len, buffers))
    is_deflated = sum(map(len, packed)) < _WORTH_DEFLATING * size
    shown = packed if is_deflated else buffers
    text = json.dumps(
        {
            "message": content,
            "buffers": [base64.b64encode(buffer).decode() for buffer in shown],
            **({"deflated": True} if is_deflated else {}),
        }
    )
    # A title may hold </script>; in JSON text `<` may be written like this.
    return _MESSAGE.format(text.replace("<", r"\u003c"))


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    rules = {
        "default-src": ["'none'"],
        # blob: is what writes mp4 files.
        "script-src": [*map(_hash_of, scripts), "blob:", "'wasm-unsafe-eval'"],
        # data: where the browser, or an app around it, has no blob: addresses
        "worker-src": ["blob:", "data:"],
        "style-src": [*map(_hash_of, styles)],
        "img-src": ["data:", "blob:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(" ".join((name, *values)) for name, values in rules.items())


def _hash_of(text: str) -> str:
    # As a parser of HTML hands it on.
    text = re.sub(r"\r\n?", "\n", text)
    return (
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    )

"""As much of zstandard as reads a recording, by fzstd: no registry has it for Pyodide.

Pyodide's own is at its CDN alone. What compresses raises.
"""

from types import SimpleNamespace

import fzstd  # the npm package, which run.mjs registers

from js import Uint8Array


class ZstdError(Exception):
    pass


def get_frame_parameters(data):
    """Return the header of a frame: https://datatracker.ietf.org/doc/html/rfc8878."""
    data = bytes(data)
    if len(data) < 6 or data[:4] != b"\x28\xb5\x2f\xfd":
        raise ZstdError("no frame")
    flags = data[4]
    is_single = flags >> 5 & 1
    at = 5 + (not is_single) + (0, 1, 2, 4)[flags & 3]
    size = (is_single, 2, 4, 8)[flags >> 6]
    content_size = int.from_bytes(data[at : at + size], "little")
    return SimpleNamespace(content_size=content_size + 256 * (size == 2))


class ZstdDecompressor:
    def __init__(self, **options):
        pass

    def decompress(self, data, **options):
        try:
            return fzstd.decompress(Uint8Array.new(bytes(data))).to_bytes()
        except Exception as error:  # of JavaScript
            raise ZstdError(str(error)) from None

    def stream_reader(self, source):
        def readinto(out):
            data = self.decompress(source)[: len(out)]
            out[: len(data)] = data
            return len(data)

        return SimpleNamespace(readinto=readinto)


class ZstdCompressor:
    def __init__(self, **options):
        pass

    def compress(self, data):
        raise ZstdError("this one compresses nothing")

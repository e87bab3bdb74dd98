"""Tensors that say they are on a GPU, and count what would wait for it."""

import torch


class OnGpu(torch.Tensor):
    """A tensor of this side as one of a GPU: it can be read only once it was copied."""

    num_waits = 0

    @property
    def device(self):  # type: ignore[override]  # a test reads it
        return torch.device("cuda", 0)

    def cpu(self, *args, **options):
        OnGpu.num_waits += 1
        return self.as_subclass(torch.Tensor)

    def item(self):
        return self.cpu().item()

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, **options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *args, **options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


def on_gpu(value):
    return torch.as_tensor(value).as_subclass(OnGpu)


def pictures_on_gpu(value):
    """Return pictures as of a GPU, and everything else as of this side."""
    return on_gpu(value) if value.ndim == 4 else value


# Where the tensors of a simulation are.
DEVICES = {"here": lambda value: value, "gpu": on_gpu, "mixed": pictures_on_gpu}


class LateSide:
    """Copies no earlier than it is waited for, as a slow device may."""

    def __init__(self):
        self.num_buffers = 0

    def buffer(self, num_bytes):
        self.num_buffers += 1
        return torch.full((num_bytes,), 77, dtype=torch.uint8)

    def start(self, target, source):
        # In the order of the stream: what the source is now.
        return _Late(target, source.as_subclass(torch.Tensor).clone())


class _Late:
    def __init__(self, target, source):
        self._target, self._source = target, source

    def synchronize(self):
        self._target.copy_(self._source)

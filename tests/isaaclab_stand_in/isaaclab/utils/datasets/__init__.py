"""Stand-in of an episode's data, and of the handler that a file's type names."""

import torch


class EpisodeData:
    """Nested dicts of what the terms returned: lists until they are exported."""

    def __init__(self):
        self.data = {}
        self.seed = self.env_id = self.success = None

    def is_empty(self):
        return not self.data

    def add(self, key, value):
        *outer, last = key.split("/")
        within = self.data
        for one in outer:
            within = within.setdefault(one, {})
        within.setdefault(last, []).append(value.clone())

    def pre_export(self):
        def stacked(value):
            if isinstance(value, dict):
                return {key: stacked(one) for key, one in value.items()}
            return torch.stack(value) if isinstance(value, list) else value

        self.data = stacked(self.data)


class HDF5DatasetFileHandler:
    """Isaac Lab's own; needs h5py there, and is not called here."""

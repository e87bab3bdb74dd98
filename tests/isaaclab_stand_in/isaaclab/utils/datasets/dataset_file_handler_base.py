"""Stand-in of the base class of dataset handlers."""

from abc import ABC, abstractmethod


class DatasetFileHandlerBase(ABC):
    @abstractmethod
    def open(self, file_path, mode="r"): ...

    @abstractmethod
    def create(self, file_path, env_name=None): ...

    @abstractmethod
    def get_env_name(self): ...

    @abstractmethod
    def write_episode(self, episode): ...

    @abstractmethod
    def flush(self): ...

    @abstractmethod
    def close(self): ...

    @abstractmethod
    def load_episode(self, episode_name): ...

    @abstractmethod
    def get_num_episodes(self): ...

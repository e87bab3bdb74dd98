"""Recordings in S3, on a server of this machine; `make test-s3` has what it needs."""

from __future__ import annotations

import os

import pytest

import rollout_viewer as rv
from tests.test_shared_storage import check, write

pytest.importorskip("s3fs", reason="make test-s3 installs it")
moto_server = pytest.importorskip("moto.server", reason="make test-s3 installs it")

pytestmark = [
    # Of botocore and the server: both run to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def bucket(monkeypatch):
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "NO_PROXY": host,
    }.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("runs")
    yield "s3://runs"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
    assert os.environ["AWS_ACCESS_KEY_ID"] == "test"  # no one's own


def test_workers_write_to_s3_and_their_recordings_are_shown_together(bucket, tmp_path):
    urls = [write(f"{bucket}/ppo/run.rollout", env) for env in range(3)]

    cache = rv.open(f"{bucket}/ppo/*.rollout")

    assert len(set(urls)) == 3
    assert all(url.startswith("s3://runs/ppo/run-") for url in urls)
    check(cache, 3)
    check(rv.open(urls[:1]), 1)
    check(rv.open(cache.save(tmp_path / "all.rollout")), 3)
    with pytest.raises(rv.RecordingError, match="expected recordings at 's3://"):
        rv.open(f"{bucket}/nothing/*.rollout")

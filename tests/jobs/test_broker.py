"""The folder broker loses no message and survives half of one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection
from kombu.transport import filesystem

from hitl.broker import Channel, Transport

WRITER = """
import sys
from kombu import Connection
options = dict(zip(("data_folder_in", "data_folder_out", "processed_folder"), sys.argv[2:5]))
with Connection("filesystem://localhost", transport=sys.argv[1], transport_options=options) as connection:
    channel = connection.channel()
    for number in range(int(sys.argv[5])):
        channel._put("timers", {"number": number})
"""


def _options(folder: Path) -> dict[str, str]:
    for name in ("queue", "temp"):
        (folder / name).mkdir(exist_ok=True)
    queue, temp = str(folder / "queue"), str(folder / "temp")
    return {"data_folder_in": queue, "data_folder_out": queue, "processed_folder": temp}


@pytest.fixture
def channel(tmp_path: Path) -> Iterator[Channel]:
    with Connection("filesystem://localhost", transport=Transport, transport_options=_options(tmp_path)) as connection:
        channel = connection.channel()
        assert isinstance(channel, Channel)
        yield channel


def test_it_hands_out_messages_in_order_and_once(channel: Channel, tmp_path: Path) -> None:
    for number in range(5):
        channel._put("timers", {"number": number})
    channel._put("deliveries", {"number": 99})
    assert [channel._get("timers")["number"] for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(Empty):
        channel._get("timers")
    assert channel._get("deliveries") == {"number": 99}
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == []


def test_it_drops_half_a_message_and_goes_on(channel: Channel, tmp_path: Path) -> None:
    (tmp_path / "queue" / "0_half.timers.msg").write_text('{"number":')
    channel._put("timers", {"number": 1})
    assert channel._get("timers") == {"number": 1}


def test_it_is_needed_because_the_original_dies_of_half_a_message(tmp_path: Path) -> None:
    options = {**_options(tmp_path), "store_processed": True}
    (tmp_path / "queue" / "0_half.timers.msg").write_text('{"number":')
    with Connection("filesystem://localhost", transport=filesystem.Transport, transport_options=options) as connection:
        channel = connection.channel()
        assert isinstance(channel, filesystem.Channel)
        with pytest.raises(ValueError, match="Expecting value"):
            channel._get("timers")


def test_it_loses_nothing_between_writers_and_readers_in_parallel(channel: Channel, tmp_path: Path) -> None:
    count = 500
    paths = list(_options(tmp_path).values())
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, "hitl.broker:Transport", *paths, str(count)]) for _ in range(2)
    ]
    received: list[int] = []
    while len(received) < 2 * count:
        try:
            received.append(channel._get("timers")["number"])
        except Empty:
            assert any(writer.poll() is None for writer in writers) or os.listdir(tmp_path / "queue"), len(received)
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(received) == sorted([*range(count), *range(count)])

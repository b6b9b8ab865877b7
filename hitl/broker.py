"""The folder broker of an installation without Redis: kombu's filesystem transport, made safe for readers in a hurry.

kombu writes a message under the name that readers look for, and moves it through the system's temp folder, which may be
another disk, to read it. A reader that comes while the writer writes gets half a message and dies of it. Here a message
appears complete or not at all, and stays in its own folders.
"""

import json
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem


class Channel(filesystem.Channel):
    """One folder of messages, oldest name first. A message that cannot be read is dropped: it only wakes the worker.

    Celery names the queue itself (the default exchange), so there are no bindings to keep in a shared file.
    """

    def get_table(self, exchange: str) -> list[Any]:
        return []

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str) -> None:
        pass

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]  # the stubs disagree
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        draft = Path(self.processed_folder) / name
        draft.write_text(json.dumps(payload))
        draft.replace(Path(self.data_folder_out) / name)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = Path(self.processed_folder) / name
            try:
                (Path(self.data_folder_in) / name).rename(taken)
            except FileNotFoundError:
                continue  # another reader was first
            try:
                message: dict[str, Any] = json.loads(taken.read_bytes())
            except ValueError:
                continue
            finally:
                taken.unlink()
            return message
        raise Empty


class Transport(filesystem.Transport):
    Channel = Channel

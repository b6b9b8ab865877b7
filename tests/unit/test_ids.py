"""Identifiers stay apart, also when the process that made some is forked into web processes."""

import os

from core.ids import TASK_PREFIX, looks_like_id, new_id


def _made_in_a_fork() -> list[str]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, " ".join(new_id(TASK_PREFIX) for _ in range(5)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as end:
        return end.read().decode().split()


def test_forks_of_one_process_do_not_repeat_each_other() -> None:
    new_id(TASK_PREFIX)  # whatever state there is exists before the forks
    made = [made for _fork in range(8) for made in _made_in_a_fork()]
    assert len(made) == 40
    # The time stands in front; the random part must differ by itself.
    assert len({identifier[-15:] for identifier in made}) == 40
    assert all(looks_like_id(identifier, TASK_PREFIX) for identifier in made)

"""The home folder: the one place this installation writes to, and what has to be in it before anything starts.

Only the standard library and `cryptography` are used here, and no setting is read: settings are made from these files.
"""

import base64
import binascii
import contextlib
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# Name in keys.json -> the environment variable that may give it instead.
KEYS: Final = {
    "secret_key": "HITL_SECRET_KEY",
    "encryption_keys": "HITL_ENCRYPTION_KEYS",
    "digest_key": "HITL_DIGEST_KEY",
    "signing_key": "HITL_SIGNING_KEY",
}
# Messages of the folder broker (hitl.broker): waiting, and being written or read.
BROKER_FOLDERS: Final = ("queue", "temp")
STALE_MESSAGE_SECONDS: Final = 3600.0


class HomeError(Exception):
    """The home folder cannot be used; the message is one line that says why and what helps."""


def prepare(home: Path, environment: dict[str, str]) -> bool:
    """Create what is missing. Returns whether keys were generated, so that the caller can read its settings again.

    Raises HomeError if the folder cannot be written, if keys.json is broken, or if it is gone while its database is
    still there: new keys would make every sealed value unreadable, silently.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = home / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
        folders = [home / "broker" / name for name in BROKER_FOLDERS]
        for folder in (home / "static", *folders):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prune(*folders)
        return _ensure_keys(home, environment)
    except OSError as error:
        reason = error.strerror or str(error)
        raise HomeError(f"The home folder {home} cannot be used ({reason}). Set HITL_HOME to another one.") from error


@contextlib.contextmanager
def only_one(home: Path) -> Iterator[int]:
    """Hold the home folder's lock, an open file: two systems would share one schedule file. Raises HomeError."""
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HomeError(
                f"Another system is running on the home folder {home}. Stop that one, or set HITL_HOME."
            ) from error
        yield lock.fileno()


def new_keys() -> dict[str, Any]:
    """Fresh random keys, in the form that the settings read."""
    return {
        "secret_key": secrets.token_urlsafe(64),
        "encryption_keys": [Fernet.generate_key().decode()],
        "digest_key": secrets.token_urlsafe(32),
        "signing_key": base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode(),
    }


def is_encryption_key(key: str) -> bool:
    """Whether `key` is a Fernet key (32 bytes, URL-safe base64)."""
    try:
        Fernet(key)
    except (ValueError, binascii.Error):
        return False
    return True


def is_signing_key(key: str) -> bool:
    """Whether `key` is an Ed25519 private key (its 32 bytes in base64)."""
    try:
        Ed25519PrivateKey.from_private_bytes(base64.b64decode(key, validate=True))
    except (ValueError, binascii.Error):
        return False
    return True


def _ensure_keys(home: Path, environment: dict[str, str]) -> bool:
    path = home / "keys.json"
    if path.exists():
        _check_keys(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
        return False
    if all(environment.get(variable) for variable in KEYS.values()):
        return False
    if (home / "hitl.sqlite3").exists():
        raise HomeError(
            f"{path} is missing, but its database is there: without the keys its masked values cannot be read. "
            "Restore keys.json from your backup, or move hitl.sqlite3 away to start anew."
        )
    _write_private(path, json.dumps(new_keys(), indent=2) + "\n")
    return True


def _check_keys(path: Path) -> None:
    try:
        keys = json.loads(path.read_text())
    except ValueError as error:
        raise HomeError(f"{path} is broken: it is not JSON. Restore it from your backup.") from error
    missing = [name for name in KEYS if not (isinstance(keys, dict) and keys.get(name))]
    if missing:
        raise HomeError(f"{path} is broken: it has no {' and no '.join(missing)}. Restore it from your backup.")


def _write_private(path: Path, text: str) -> None:
    """Write so that the file is there completely or not at all, and never readable by others."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _prune(*folders: Path) -> None:
    """Remove messages that nobody will read any more: a message only wakes the worker, which looks for work anyway."""
    oldest = time.time() - STALE_MESSAGE_SECONDS
    for file in (file for folder in folders for file in folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            if file.stat().st_mtime < oldest:
                file.unlink()

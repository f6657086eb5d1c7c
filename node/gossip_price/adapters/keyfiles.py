"""Private keys in files: written once with mode 0600, read only where others could not.

A node's folder holds its two keys by their names below; a file holds 64 hexadecimal digits and
a line's end. Never says what a key is: errors name the file, its mode and the remedy.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from gossip_price.adapters.owned import sync_folder
from gossip_price.crypto import get_address
from gossip_price.network.document import Member
from gossip_price.network.keys import (
    KeyFormatError,
    compute_peer_id,
    format_address,
    generate_secret,
    parse_secret,
)

SIGNING_KEY: Final = "signing.key"
IDENTITY_KEY: Final = "identity.key"
NODE_KEYS: Final = (SIGNING_KEY, IDENTITY_KEY)
_BYTES_MAX: Final = 1024


class KeyFileError(Exception):
    """A key file that cannot be used or made; names the file.

    `remedy` is empty where it depends on what the file is for: then whoever asked adds it.
    """

    def __init__(self, trouble: str, remedy: str = "") -> None:
        super().__init__(f"{trouble}; remedy: {remedy}" if remedy else trouble)
        self.remedy = remedy


def make_keys(folder: Path) -> Member:
    """Make both keys in `folder`, which is made if it is not there. Raises KeyFileError.

    Where either file is there already, nothing is written.
    """
    for name in NODE_KEYS:
        if (folder / name).is_symlink() or (folder / name).exists():
            raise KeyFileError(
                f"key file {folder / name} is there already, and keys are never overwritten",
                remedy="choose another folder with --folder",
            )
    make_missing_keys(folder)
    return read_member(folder)


def make_missing_keys(folder: Path, names: Sequence[str] = NODE_KEYS) -> None:
    """Make each key of `names` that `folder` lacks, and the folder. Raises KeyFileError."""
    _make_folder(folder)
    for name in names:
        if not (folder / name).exists():
            write_key(folder / name, generate_secret())


def make_signing_keys(folders: Sequence[Path]) -> None:
    """Make a signing key in each folder that lacks one, and the folder. Raises KeyFileError.

    Addresses ascend with the folders: a roster goes by address, so where all keys are new the
    first folder is member 0, the second member 1.
    """
    missing = [folder for folder in folders if not (folder / SIGNING_KEY).exists()]
    secrets_by_address = sorted((generate_secret() for _ in missing), key=get_address)
    for folder, secret in zip(missing, secrets_by_address, strict=True):
        _make_folder(folder)
        write_key(folder / SIGNING_KEY, secret)


def read_member(folder: Path) -> Member:
    """Return what the public may know of the two keys in `folder`. Raises KeyFileError."""
    signing, identity = (read_key(folder / name) for name in NODE_KEYS)
    return Member(format_address(get_address(signing)), compute_peer_id(identity))


def write_key(path: Path, secret: bytes) -> None:
    """Write a private key to a new file of mode 0600, whole or not at all, synced to disk.

    Raises KeyFileError where a file of that name is there already, whatever it holds.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                os.fchmod(descriptor, 0o600)  # whatever the umask
                file.write(secret.hex() + "\n")
                file.flush()
                os.fsync(descriptor)
            # link, not rename: rename would replace a key that is there.
            path.hardlink_to(temporary)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        sync_folder(path.parent)
    except FileExistsError as error:
        raise KeyFileError(
            f"key file {path} is there already, and keys are never overwritten",
            remedy="choose another folder, or move the file away if nothing needs that identity"
            " any more",
        ) from error
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be written: {error.strerror}") from error


def read_key(path: Path) -> bytes:
    """Return the 32-byte private key in `path`.

    A symbolic link is followed, and what it leads to is judged. Refused is a file that others
    than its owner can touch; reading by its group is fine where root owns the file, for so does
    Kubernetes mount a Secret. Raises KeyFileError, which never says what the file holds.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            # fstat of what is open, not stat of the name: it cannot be swapped in between.
            status = os.fstat(descriptor)
            _check_mode(path, status)
            raw = file.read(_BYTES_MAX)
    except OSError as error:
        raise KeyFileError(f"key file {path} cannot be read: {error.strerror}") from error
    try:
        return parse_secret(raw.decode("ascii"))
    except (KeyFormatError, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, KeyFormatError) else "it is not text"
        raise KeyFileError(f"key file {path} holds no key: {reason}") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"folder {folder} cannot be made: {error.strerror}") from error


def _check_mode(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"key file {path} is no regular file")
    mode = stat.S_IMODE(status.st_mode)
    allowed = 0o740 if status.st_uid == 0 else 0o700
    if mode & ~allowed:
        raise KeyFileError(
            f"key file {path} has mode {mode:04o}: others than its owner can touch it, allowed:"
            " 0600, or 0640 where root owns it",
            remedy=f"chmod 600 {path.resolve()}",
        )

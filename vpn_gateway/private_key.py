"""I/O: the gateway's private key file: made with mode 0600 when missing, refused when others may read it."""

from __future__ import annotations

import os
from pathlib import Path

from vpn_gateway.config import BadConfig
from vpn_tunnel.errors import BadKey
from vpn_tunnel.keys import PrivateKey


def load_or_create(path: Path) -> PrivateKey:
    """The key in `path`. Raises `BadConfig`."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _load(path)
    except OSError as error:
        raise BadConfig(f"--private-key-file {path}: {error.strerror}") from error
    key = PrivateKey.generate(os.urandom)
    with os.fdopen(fd, "w") as file:
        file.write(key.to_base64() + "\n")
    return key


def _load(path: Path) -> PrivateKey:
    try:
        if path.stat().st_mode & 0o077:
            raise BadConfig(f"--private-key-file {path}: others may read it; run: chmod 600 {path}")
        return PrivateKey.from_base64(path.read_text())
    except OSError as error:
        raise BadConfig(f"--private-key-file {path}: {error.strerror}") from error
    except (BadKey, UnicodeDecodeError) as error:
        raise BadConfig(f"--private-key-file {path}: {error}; make one with wg genkey") from error

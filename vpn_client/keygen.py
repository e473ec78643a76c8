"""I/O: `kvpn keygen`: make a private key in a file that only its owner can read, print the public key.

Owns the file's mode and owner. Leaves to others: the key itself (`vpn_tunnel.keys`), where it is used (`profile`).
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from vpn_client.exit_codes import ExitCode, Failure
from vpn_client.profile import acting_as


def keygen(path: Path, *, user: int | None = None) -> str:
    """The public key, base64, of a new key in `path` (0600, made as `user`); an existing file is kept and refused."""
    from vpn_tunnel.keys import PrivateKey

    key = PrivateKey.generate(os.urandom)
    text = base64.b64encode(key.raw).decode() + "\n"
    with acting_as(user):
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise Failure(ExitCode.USAGE, f"key file {path}", "it exists and is not overwritten",
                          "name another file, or remove this one first") from None
        except OSError as error:
            raise Failure(ExitCode.FAILURE, f"key file {path}", error.strerror or str(error),
                          "name a file in a folder of yours") from None
        with open(file, "w", encoding="ascii") as out:
            out.write(text)
    return str(key.public_key())

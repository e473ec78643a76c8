"""The release that both ends speak of. Owns one constant; imports nothing, so that `kvpn version` starts fast."""

from typing import Final

VERSION: Final = "0.1.0"

"""I/O: `python -m vpn_client` is `kvpn`."""

import sys

from vpn_client.cli import main

sys.exit(main())

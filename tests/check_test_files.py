"""I/O: each source file has its test file: `<package>/<module>.py` → `tests/unit/<package>/test_<module>.py`.

Owns the rule and its exceptions; what a test file must contain is left to review. Run by scripts/check and the suite.
"""

from __future__ import annotations

import configparser
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_TEST = frozenset({"__init__", "__main__", "version"})
"""Modules with nothing to test: names, a call of main, one constant."""
VALUES = frozenset({
    "vpn_tunnel/config", "vpn_tunnel/constants", "vpn_tunnel/data_path", "vpn_tunnel/errors", "vpn_tunnel/events",
    "vpn_tunnel/pump", "vpn_directory/messages", "vpn_directory/model", "kvpn_dns/options", "vpn_gateway/exit_codes",
    "vpn_client/host_plan"})
"""Modules that are only values or protocols: whoever uses them tests them."""
OWED = frozenset({
    "vpn_tunnel/asyncio_driver", "vpn_tunnel/testing", "vpn_tunnel/tun", "vpn_tunnel/uapi_socket", "vpn_tunnel/wg_cli",
    "vpn_gateway/runner", "vpn_client/host_observe", "vpn_client/host_tools", "vpn_client/kernel_tables",
    "vpn_client/linux_firewall", "vpn_client/linux_host", "vpn_client/linux_link", "vpn_client/linux_resolver",
    "vpn_client/linux_routes", "vpn_client/linux_undo", "vpn_client/resolver_file", "vpn_client/supervisor"})
"""Modules that only tests/interop and tests/e2e exercise so far. This set may only shrink."""


def packages(root: Path) -> dict[str, Path]:
    """The packages that setup.cfg ships: name → folder."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    options = config["options"]
    names = options["packages"].replace(",", " ").split()
    moved = dict(line.replace(" ", "").split("=") for line in options.get("package_dir", "").splitlines() if line)
    return {name: root / moved.get(name, name) for name in names}


def modules(root: Path) -> dict[str, set[str]]:
    """The modules of each package that need a test file."""
    return {name: {file.stem for file in folder.glob("*.py")} - WITHOUT_TEST for name, folder in packages(root).items()}


def untested(root: Path) -> list[str]:
    """One line for each source file without a test file."""
    return [f"{package}/{module}.py has no tests/unit/{package}/test_{module}.py"
            for package, names in modules(root).items() for module in sorted(names)
            if f"{package}/{module}" not in VALUES | OWED and not (root / "tests/unit" / package / f"test_{module}.py").exists()]


def orphans(root: Path) -> list[str]:
    """One line for each unit test file whose name starts with no module's name: its source was renamed or removed."""
    lines = []
    for package, names in modules(root).items():
        for file in sorted((root / "tests/unit" / package).glob("test_*.py")):
            subject = file.stem.removeprefix("test_")
            if not any(subject == name or subject.startswith(name + "_") for name in names | WITHOUT_TEST):
                lines.append(f"{file.relative_to(root)} tests no module of {package}; "
                             "fix: rename it, or move it to tests/property, interop, …")
    return lines


def main() -> int:
    """Print what is wrong; exit 1 if anything is."""
    problems = untested(ROOT) + orphans(ROOT)
    print(*(problems or [f"{sum(map(len, modules(ROOT).values()))} source files, each with its test file"]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

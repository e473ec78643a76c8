"""I/O: `scripts/bench tunnel`: our data path beside its peers, interleaved, medians of rounds.

Compare only inside one run: the machine's mood moves every figure. The method is docs/bench.md's.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.handshakes import Flooder, prepare
from tests.bench.tunnel_pair import IMPLEMENTATIONS, UNDERLAYS, Bed, Implementation, measurements

COLUMNS = {
    "tcp": ("TCP Gb/s", 2), "tcp_cpu": ("CPU-s/GB", 1), "tcp_reverse": ("reverse Gb/s", 2),
    "tcp_retransmits": ("retrans", 0),
    "udp_kpps": ("UDP 64 B kpps", 1), "udp_cpu": ("µs CPU/pkt at 15 kpps", 1), "udp_loss": ("loss %", 1),
    "ping": ("ping p50 µs", 0), "handshakes": ("handshakes/s", 0), "handshake_cpu": ("µs CPU/handshake", 0),
    "mib": ("peak MiB", 0),
}
"""Measurement → heading and decimals."""

Samples = dict[str, dict[str, list[float]]]
"""Implementation → measurement → one number per round."""


def medians(samples: Samples) -> dict[str, dict[str, float]]:
    """Implementation → measurement → median."""
    return {name: {key: statistics.median(values) for key, values in cells.items()} for name, cells in samples.items()}


def table(samples: Samples, reference: str) -> list[str]:
    """A Markdown table of medians; in brackets the ratio to the reference."""
    middle = medians(samples)
    lines = ["| | " + " | ".join(heading for heading, _ in COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, cells in middle.items():
        row = [_cell(cells.get(key, math.nan), middle.get(reference, {}).get(key, math.nan), digits, name == reference)
               for key, (_, digits) in COLUMNS.items()]
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    return lines


def _cell(value: float, reference: float, digits: int, is_reference: bool) -> str:
    if math.isnan(value):
        return "–"
    ratio = "" if is_reference or not reference or math.isnan(reference) else f" ({value / reference:.2f}×)"
    return f"{value:.{digits}f}{ratio}"


def verdicts(middle: Mapping[str, Mapping[str, float]]) -> list[tuple[bool, str]]:
    """What the project promises of the Python data path, held against this run."""
    rules = (("tcp", "boringtun", 1, "TCP throughput at least boringtun's"),
             ("ping", "wireguard-go", -1, "idle ping p50 no worse than wireguard-go's"),
             ("handshake_cpu", "wireguard-go", -1, "CPU per handshake answered no more than wireguard-go's"))
    found = []
    for key, peer, sign, words in rules:
        ours, theirs = middle.get("kvpn", {}).get(key, math.nan), middle.get(peer, {}).get(key, math.nan)
        if not math.isnan(ours) and not math.isnan(theirs):
            found.append((sign * ours >= sign * theirs, f"{words}: {ours:.2f} against {theirs:.2f}"))
    return found


def one_round(bed: Bed, implementations: Sequence[Implementation], seconds: float, flooder: Flooder | None,
              samples: Samples) -> None:
    """Every implementation once."""
    for implementation in implementations:
        print(f"  {implementation.name}", end="", file=sys.stderr, flush=True)
        with bed.pair(implementation) as pair:
            for measure in measurements(seconds):
                for key, value in measure(pair).items():
                    samples[implementation.name][key].append(value)
        for key, value in (flooder.measure(bed, implementation) if flooder else {}).items():
            samples[implementation.name][key].append(value)
    print(file=sys.stderr)


def chosen(names: Sequence[str]) -> list[Implementation]:
    """The implementations asked for that are installed; the others are named."""
    wanted = [each for each in IMPLEMENTATIONS if not names or each.name in names]
    for each in wanted:
        if each.path() is None:
            print(f"left out, not installed: {each.name} ({each.program})", file=sys.stderr)
    return [each for each in wanted if each.path()]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench tunnel", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds after one that is thrown away")
    parser.add_argument("--seconds", type=float, default=2, help="of each throughput measurement")
    parser.add_argument("--underlay", choices=UNDERLAYS, default="default")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="implementations")
    parser.add_argument("--reference", default="wireguard-go", help="what the ratios are to")
    parser.add_argument("--no-handshakes", action="store_true")
    parser.add_argument("--json", type=Path, help="write every sample here")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and exit 1 if a promise is broken."""
    options = arguments(argv)
    implementations = chosen(options.only)
    samples: Samples = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="kvpn-bench-") as folder:
        bed = Bed(options.underlay, Path(folder))
        try:
            flooder = None if options.no_handshakes else prepare(bed)
            for number in range(options.rounds + 1):
                words = f"round {number} of {options.rounds}:" if number else "a round to warm up:"
                print(words, end="", file=sys.stderr)
                one_round(bed, implementations, options.seconds, flooder, samples)
                if not number:
                    samples.clear()
        finally:
            bed.close()
    print(*table(samples, options.reference), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(samples, indent=1))
    results = verdicts(medians(samples))
    for held, words in results:
        print(f"{'holds ' if held else 'BROKEN'} {words}")
    return 0 if all(held for held, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())

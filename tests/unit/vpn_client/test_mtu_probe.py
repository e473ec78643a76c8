"""The path's MTU from echoes: each pattern of answers, and any path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vpn_client.mtu_probe import FLOOR_IPV4, SMALL, MtuProbe, Verdict


def measured(upper: int, carries: int, floor: int = 1280) -> Verdict:
    """What a probe finds on a path that carries transport messages of inner sizes up to `carries`."""
    probe = MtuProbe(upper, floor)
    for size in probe.sizes():
        if size <= carries:
            probe.answered(size)
    return probe.verdict()


@pytest.mark.parametrize(("upper", "carries", "mtu", "proved"), [
    (1420, 1500, 1420, True),
    (1420, 1419, 1408, True),
    (1420, 1340, 1328, True),  # an underlay of 1400
    (1420, 1280, 1280, True),
    (1420, 1279, 1280, False),
    (1420, 0, 1420, False),
    (1400, 1400, 1400, True),
    (1280, 1280, 1280, True),
    (8920, 1420, 1408, True),
])
def test_table(upper: int, carries: int, mtu: int, proved: bool) -> None:
    verdict = measured(upper, carries)
    assert (verdict.mtu, verdict.proved) == (mtu, proved)


def test_words() -> None:
    assert measured(1420, 1340).text == "1328 bytes pass both ways; 1344 do not"
    assert measured(1420, 1420).text == "1420 bytes pass both ways"
    assert "answers no echo" in measured(1420, 0).text
    assert "not even 1280" in measured(1420, SMALL).text


def test_without_ipv6_a_path_may_be_narrower() -> None:
    assert measured(1420, 1000, FLOOR_IPV4).mtu == 992


def test_sizes_are_few_and_padded() -> None:
    sizes = MtuProbe(1420).sizes()
    assert sizes == (1420, 1408, 1392, 1376, 1360, 1344, 1328, 1312, 1296, 1280, SMALL)


def test_a_second_try_asks_only_for_more() -> None:
    probe = MtuProbe(1420)
    assert probe.unanswered() == probe.sizes()
    probe.answered(1376)
    probe.answered(SMALL)
    assert probe.unanswered() == (1420, 1408, 1392)
    assert not probe.done
    probe.answered(1420)
    assert probe.done
    assert probe.unanswered() == ()


@given(st.integers(1280, 9000), st.integers(0, 9000))
def test_a_proved_size_passes_and_the_next_does_not(upper: int, carries: int) -> None:
    verdict = measured(upper, carries)
    assert verdict.mtu <= upper
    if verdict.proved:
        assert verdict.mtu <= carries
        assert verdict.mtu == upper or verdict.mtu + 16 > min(carries, upper - upper % 16)

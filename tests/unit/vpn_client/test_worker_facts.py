"""Facts of a session as values."""

from tests.unit.vpn_client.fakes import ITEMS, FakeDirectory, FakeNames, FakeTunnel, World
from tests.unit.vpn_client.samples import INTENT
from vpn_client.desired import first_plan, whole_plan
from vpn_client.host_plan import Note
from vpn_client.intent import parse_intent_untrusted
from vpn_client.output import Level
from vpn_client.parts import DirectoryEvents
from vpn_client.session import Session
from vpn_client.status import document, text
from vpn_client.worker_facts import directory_line, dns_facts, facts_of, transport_line, tunnel_facts

INTENT_ = parse_intent_untrusted(INTENT)


def test_a_session_that_has_nothing_yet_can_be_shown() -> None:
    facts = facts_of(INTENT_, Session(30), 1.0, tunnel=None, names=None, plan=None, directory=None, gateway=None,
                     resolver=("", 0, ""), notes=[], before=None, unix_ns=0)
    assert facts["state"] == "connecting"
    assert facts["tunnel"] is facts["host"] is facts["dns"] is facts["directory"] is facts["probe"] is None
    assert "probe     none yet" in text(document([facts], None))


def test_rates_are_between_two_looks() -> None:
    tunnel = FakeTunnel(World(), "kvpn0")
    first = tunnel_facts(tunnel, 10.0, None, 0)
    second = tunnel_facts(tunnel, 12.0, {**first, "rx_bytes": 40}, 0)
    assert (first["rx_per_second"], second["rx_per_second"]) == (0.0, 30.0)
    assert first["last_handshake_age"] is None


def test_a_handshake_in_the_future_is_now() -> None:
    tunnel = FakeTunnel(World(), "kvpn0")
    tunnel.heard = 1.0
    assert tunnel_facts(tunnel, 10.0, None, 1)["last_handshake_age"] == 0.0


def test_dns_is_shown_once_the_host_points_to_it() -> None:
    names = FakeNames(World())
    assert dns_facts(names, first_plan(INTENT_, "kvpn0"), ("198.18.0.2", 53, "x")) is None
    plan = whole_plan(INTENT_, "kvpn0", 1420, ITEMS, ("fd00::1", 53))
    shown = dns_facts(names, plan, ("fd00::1", 53, "split"))
    assert shown is not None
    assert (shown["server"], shown["mode"], shown["suffixes"], shown["queries"]) == (
        "[fd00::1]:53", "split", ["cluster.local"], 7)


def test_notes_cross_as_words() -> None:
    facts = facts_of(INTENT_, Session(30), 1.0, tunnel=None, names=None, plan=None, directory=None, gateway=None,
                     resolver=("", 0, ""), notes=[Note("routes", "taken", Level.WARN)], before=None, unix_ns=0)
    assert facts["notes"] == [{"name": "routes", "level": "warn", "text": "taken"}]


def test_lines_of_up() -> None:
    tunnel = FakeTunnel(World(), "kvpn0")
    assert transport_line(tunnel, 0.0191)[2] == "udp 192.0.2.1:51820 · handshake 19 ms · python data path"
    directory = FakeDirectory(World(), DirectoryEvents(lambda changes: None, lambda link: None))
    directory.items = ITEMS
    assert directory_line(directory)[2] == "1 services (0 endpoints), revision 12"

"""The numbers that scripts rely on, and what a failure says."""

from vpn_client.exit_codes import ExitCode, Failure


def test_numbers_are_the_documented_ones() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "FAILURE": 1, "USAGE": 2, "NOT_CONNECTED": 3, "UNREACHABLE": 4, "DENIED": 5, "TIMEOUT": 6,
        "NO_PERMISSION": 77, "INTERRUPTED": 130}


def test_a_failure_reads_what_and_why() -> None:
    assert str(Failure(ExitCode.FAILURE, "route", "it exists", "remove it")) == "route: it exists"

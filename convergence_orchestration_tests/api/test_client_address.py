import pytest

from convergence_orchestration.api.client_address import source_address

PROXY, CALLER = "10.0.0.1", "203.0.113.9"


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        (CALLER, [], [], CALLER),
        (CALLER, ["198.51.100.1"], [], CALLER),  # anybody may send the header
        (CALLER, ["198.51.100.1"], ["10.0.0.0/8"], CALLER),
        (PROXY, [CALLER], [], PROXY),
        (PROXY, [CALLER], ["10.0.0.0/8"], CALLER),
        (PROXY, [CALLER], [PROXY], CALLER),
        (PROXY, [], [PROXY], PROXY),
        (
            PROXY,
            [f"1.1.1.1, {CALLER}, 10.9.9.9"],
            ["10.0.0.0/8"],
            CALLER,
        ),  # the first was made up by the caller
        (PROXY, ["1.1.1.1", f"{CALLER},10.9.9.9"], ["10.0.0.0/8"], CALLER),
        (PROXY, ["unknown"], [PROXY], PROXY),
        (PROXY, [""], [PROXY], PROXY),
        (PROXY, [f"{CALLER}:1234"], [PROXY], PROXY),
        ("2001:db8::1", ["2001:db8::2"], ["2001:db8::1/128"], "2001:db8::2"),
        (None, [CALLER], ["0.0.0.0/0"], None),
        ("testclient", [CALLER], ["0.0.0.0/0"], "testclient"),
    ],
)
def test_the_address_is_the_last_that_no_trusted_proxy_has(
    peer: str | None, forwarded: list[str], trusted: list[str], found: str | None
) -> None:
    assert source_address(peer, forwarded, trusted) == found

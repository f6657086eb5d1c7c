from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gossip_price_operator import names

NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
LONG = "a" * 63


def list_names(network: str) -> list[str]:
    return [
        *(names.node(network, number) for number in (0, 7, 255)),
        names.nodes(network),
        names.bootstrap(network),
        *(names.bootstrap_identity(network, ordinal) for ordinal in range(9)),
        names.postgres(network),
        names.network_file(network),
        names.epochs_record(network),
        names.migration(network, "0123456789"),
        *(
            names.network_policy(network, purpose)
            for purpose in ("nothing", "dns", "p2p", "sources", "http", "postgres", "extra")
        ),
    ]


@given(NAMES)
def test_every_name_is_a_dns_label(network: str) -> None:
    for name in list_names(network):
        assert len(name) <= 63
        assert names_pattern(name)


def names_pattern(name: str) -> bool:
    return name.replace("-", "").isalnum() and not name.startswith("-") and not name.endswith("-")


@given(NAMES, NAMES)
def test_two_networks_in_a_namespace_share_no_name(one: str, other: str) -> None:
    if one != other:
        assert not set(list_names(one)) & set(list_names(other))


def test_a_network_called_like_anothers_object_takes_nothing_from_it() -> None:
    for inner in list_names("eth"):
        assert not set(list_names("eth")) & set(list_names(inner))


def test_long_names_with_a_common_beginning_stay_apart() -> None:
    one, other = LONG[:62] + "b", LONG[:62] + "c"
    assert not set(list_names(one)) & set(list_names(other))


def test_statefulsets_leave_room_for_the_label_of_their_revision() -> None:
    assert len(names.bootstrap(LONG)) <= 52
    assert len(names.postgres(LONG)) <= 52
    assert names.bootstrap("eth") == "eth-bootstrap"

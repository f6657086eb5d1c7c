from __future__ import annotations

import pytest

from gossip_price_operator.drift import holds

RENDERED = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {"ports": [{"port": 8080}], "paused": False, "cpu": "0.1", "memory": "1024Mi"},
}


def live(**spec: object) -> dict[str, object]:
    held = {"ports": [{"port": 8080, "protocol": "TCP"}], "cpu": "100m", "memory": "1Gi"}
    return {"metadata": {"labels": {"a": "1", "b": "2"}, "uid": "u"}, "spec": {**held, **spec}}


def test_what_a_server_adds_and_rewrites_is_no_drift() -> None:
    assert holds(live(), RENDERED)


@pytest.mark.parametrize(
    "spec",
    [
        {"ports": [{"port": 8081}]},
        {"ports": [{"port": 8080}, {"port": 1}]},
        {"ports": None},
        {"paused": True},
        {"cpu": "200m"},
        {"memory": "1G"},
    ],
)
def test_what_somebody_changed_is_drift(spec: dict[str, object]) -> None:
    assert not holds(live(**spec), RENDERED)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("1", 1, True), ("1k", "1000", True), ("1e3", "1k", True), ("1Ki", "1k", False),
     ("x", "y", False), ("0.5", "500m", True), ("2", "two", False)],
)  # fmt: skip
def test_quantities_are_compared_by_their_amount(one: object, other: object, same: bool) -> None:
    assert holds(one, other) is same
    assert holds(other, one) is same


@pytest.mark.parametrize("nothing", [{}, [], None, False, 0, ""])
def test_nothing_is_as_good_as_left_out(nothing: object) -> None:
    assert holds({}, {"field": nothing})

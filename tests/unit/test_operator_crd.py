"""The CRD that ships, the reader and the page say the same of a PriceNetwork."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gossip_price.network.spec import parse_network, parse_yaml
from gossip_price_operator.crd import format_crd, make_crd, make_spec_schema

ROOT = Path(__file__).parents[2]
FILE = ROOT / "crds" / "pricenetworks.gossip-price.io.yaml"
VERSION = make_crd()["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, within in schema.get("properties", {}).items():
        yield from walk(within, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from walk(schema["items"], f"{path}[]")


def test_the_shipped_file_is_what_make_manifests_writes() -> None:
    assert FILE.read_text() == format_crd(), "remedy: make manifests"


def test_every_field_is_described_and_typed() -> None:
    for path, schema in walk(SCHEMA):
        if path != "metadata" and path:
            assert schema.get("description"), path
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        if schema.get("type") == "object":
            assert path == "metadata" or {
                "properties",
                "additionalProperties",
                "x-kubernetes-preserve-unknown-fields",
            } & set(schema), path


def test_every_list_and_text_that_a_rule_looks_at_is_bounded() -> None:
    for path, schema in walk(make_spec_schema()):
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
        if schema.get("type") == "string" and "enum" not in schema:
            assert "maxLength" in schema, path


def test_the_page_lists_the_fields_of_the_schema() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    table = page.partition("<!-- begin spec -->")[2].partition("<!-- end spec -->")[0]
    listed = set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    leaves = {
        path.removesuffix("[]")
        for path, schema in walk(make_spec_schema())
        if path and "properties" not in schema and "properties" not in schema.get("items", {})
    }
    assert leaves <= listed


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda f: f.name)
def test_what_the_server_fills_in_changes_nothing_of_an_example(file: Path) -> None:
    given = yaml.safe_load(file.read_text())
    filled = {**given, "spec": fill(given["spec"], make_spec_schema())}
    assert filled != given
    assert parse_network(filled) == parse_yaml(file.read_text())


def fill(value: Any, schema: dict[str, Any]) -> Any:
    """Do what the API server does with defaults."""
    if isinstance(value, list):
        return [fill(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, within in schema.get("properties", {}).items():
        if name not in filled and "default" in within:
            filled[name] = within["default"]
        if name in filled:
            filled[name] = fill(filled[name], within)
    return filled


def test_beside_a_supplied_document_the_server_fills_in_nothing_that_it_decides() -> None:
    spec = fill({"documentRef": {"name": "shared"}}, make_spec_schema())
    raw = {"apiVersion": "gossip-price.io/v1alpha1", "kind": "PriceNetwork"}
    network = parse_network({**raw, "metadata": {"name": "shared"}, "spec": spec})
    assert network.spec.document_ref is not None


def test_scale_and_status_are_subresources_and_the_columns_are_those_people_ask_for() -> None:
    scale = VERSION["subresources"]["scale"]
    assert scale["specReplicasPath"] == ".spec.nodes.count"
    assert VERSION["subresources"]["status"] == {}
    columns = {
        column["name"]: column.get("priority", 0) for column in VERSION["additionalPrinterColumns"]
    }
    assert columns == {
        "Ready": 0, "Nodes": 0, "Signers": 0, "Last price": 0, "Age of last price": 0,
        "Reason": 1, "Age": 1,
    }  # fmt: skip

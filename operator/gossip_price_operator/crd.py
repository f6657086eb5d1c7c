"""The CustomResourceDefinition, made from the classes that read a PriceNetwork. Pure.

Types, bounds, defaults and descriptions of the spec's fields are the reader's own
(`gossip_price.network.spec_parts`); what several fields say together stands here as CEL rules,
in the words of the reader. `python -m gossip_price_operator.crd` prints the file that ships, and
a test holds the file to it.

Fields that a supplied document decides have no default here: the API server would write them
into every resource, and beside `documentRef` they are refused. Their descriptions say it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gossip_price.network.durations import format_duration, parse_duration
from gossip_price.network.source_mapping import SourceSpec, format_source
from gossip_price.network.sources import PRESETS, Source
from gossip_price.network.spec_parts import NetworkSpec
from gossip_price.network.spec_values import Pair
from gossip_price_operator import names
from gossip_price_operator.status_schema import PRINTER_COLUMNS, make_status_schema

Schema = dict[str, Any]

#: What a supplied document decides.
_DOCUMENT_DECIDES: Final = ("pairs", "price.interval", "price.maxDeviation", "consensus")
_INT_OR_STRING: Final = "x-kubernetes-int-or-string"
_ANY_FIELDS: Final = "x-kubernetes-preserve-unknown-fields"
_LIST_MAPS: Final[Mapping[str, str]] = {
    "pairs": "name",
    "price.sources": "name",
    "keys.existing": "node",
}


def _rule(rule: str, message: str) -> Schema:
    return {"rule": rule, "message": message}


_SIGNERS: Final = "has(self.consensus) && has(self.consensus.minimumSigners)"
_STORAGE_RULES: Final = [
    _rule("isQuantity(self.size)", "size: allowed: a Kubernetes quantity such as 1Gi"),
    _rule(
        "!isQuantity(self.size) || !isQuantity(oldSelf.size) ||"
        " quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0",
        "size: a volume can grow, never shrink",
    ),
    _rule(
        "has(self.storageClassName) == has(oldSelf.storageClassName) &&"
        " (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "storageClassName: immutable, the volume is there already; remedy: move the data to a"
        " volume of the other class by hand, in a PriceNetwork of another name",
    ),
]
_DURATION_RULE: Final = _rule(
    "type(self) == int || (self.matches('^[0-9]{1,9}$') ?"
    " int(self) >= 1 && int(self) <= 86400 :"
    " duration(self) >= duration('1s') && duration(self) <= duration('24h'))",
    "allowed: from 1s to 24h, as a duration such as 30s, 10m or 1h30m, or whole seconds",
)
#: By path within spec ("" is spec itself).
_RULES: Final[Mapping[str, list[Schema]]] = {
    "": [
        _rule(
            f"!({_SIGNERS}) || self.consensus.minimumSigners <= self.nodes.count",
            "consensus.minimumSigners: allowed: at most nodes.count",
        ),
        _rule(
            f"!({_SIGNERS}) || (has(self.consensus.mode) && self.consensus.mode == 'EveryNode') ||"
            " 2 * self.consensus.minimumSigners > self.nodes.count + (self.nodes.count - 1) / 3",
            "consensus.minimumSigners: in Rounds, twice the signers must exceed nodes.count plus"
            " the (nodes.count - 1) / 3 that may lie, else two prices of one round could both be"
            " proven; left out, the smallest safe number is taken",
        ),
        _rule(
            f"has(self.documentRef) || ({_SIGNERS}) || self.nodes.count >= 3",
            "nodes.count: allowed: at least 3, which sign where consensus.minimumSigners is left"
            " out",
        ),
        *(
            _rule(
                f"!has(self.documentRef) || !has(self.{path})",
                f"{path}: allowed: nothing beside documentRef, the document says it",
            )
            for path in _DOCUMENT_DECIDES
        ),
    ],
    "price": [
        _rule(
            "self.minSources <= size(self.sources)",
            "minSources: allowed: at most the number of sources",
        )
    ],
    "price.sources[]": [
        _rule(
            f"has(self.url) == has(self.path) && (has(self.url) || self.name in {sorted(PRESETS)})",
            "url and path: required, both, where name is not that of a preset"
            f" ({', '.join(PRESETS)})",
        )
    ],
    "postgres": [
        _rule(
            "[has(self.managed), has(self.external), has(self.cloudNativePG)]"
            ".filter(given, given).size() == 1",
            "allowed: exactly one of managed, external, cloudNativePG",
        )
    ],
    "nodes.storage": _STORAGE_RULES,
    "postgres.managed.storage": _STORAGE_RULES,
    "price.interval": [_DURATION_RULE],
    "consensus.settle": [_DURATION_RULE],
}
_NAME_RULE: Final = _rule(
    "size(self.metadata.name) <= 63 &&"
    " self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
    "metadata.name: allowed: at most 63 of a-z, 0-9 and dashes, without dots: it becomes a label"
    " and the beginning of Services' names",
)


def make_crd() -> Schema:
    """Return the CustomResourceDefinition."""
    spec = make_spec_schema()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{names.PLURAL}.{names.GROUP}",
            # Who uninstalls the chart keeps the networks; `kubectl delete crd` says what it does.
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.KIND.lower(),
                "shortNames": ["pn"],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": PRINTER_COLUMNS,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.nodes.count",
                            "statusReplicasPath": ".status.nodes",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "PriceNetwork is a network of nodes that agree on"
                            " prices: they observe, sign, gossip and store them.",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {
                                    "type": "string",
                                    "description": "the version of this form",
                                },
                                "kind": {"type": "string", "description": names.KIND},
                                "metadata": {"type": "object"},
                                "spec": spec,
                                "status": make_status_schema(),
                            },
                            "x-kubernetes-validations": [_NAME_RULE],
                        }
                    },
                }
            ],
        },
    }


def make_spec_schema() -> Schema:
    """Return the structural schema of a PriceNetwork's spec."""
    schema = _make_structural(NetworkSpec.model_json_schema(by_alias=True), {})
    schema["description"] = "what the network should be"
    _describe(schema, NetworkSpec)
    for path, within in list(_walk(schema)):
        if "default" in within:
            # In full, because the server judges a default by the rules before it fills it in.
            within["default"] = _fill(within["default"], within)
        if rules := _RULES.get(path):
            within["x-kubernetes-validations"] = rules
        if key := _LIST_MAPS.get(path):
            within["x-kubernetes-list-type"] = "map"
            within["x-kubernetes-list-map-keys"] = [key]
        elif within.get("type") == "array":
            within["x-kubernetes-list-type"] = "atomic"
    return schema


def _make_structural(raw: Any, definitions: Mapping[str, Any]) -> Schema:
    """Return a JSON schema in Kubernetes' form: no references or alternatives, all typed."""
    if "$ref" in raw:
        rest = {key: value for key, value in raw.items() if key != "$ref"}
        target = definitions[raw["$ref"].rpartition("/")[2]]
        return _make_structural({**target, **rest}, definitions)
    if raw.get("title") == SourceSpec.__name__ and "properties" not in raw:
        # A source is read into a value that is not pydantic's: this is its form in a file.
        return _make_structural(SourceSpec.model_json_schema(by_alias=True), {})
    definitions = {**definitions, **raw.get("$defs", {})}
    choices = [choice for choice in raw.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        rest = {key: value for key, value in raw.items() if key != "anyOf"}
        return _make_structural({**choices[0], **rest}, definitions)
    if choices and {choice.get("type") for choice in choices} == {"integer", "string"}:
        kept = {key: raw[key] for key in _BOUNDS if key in raw}
        return {_INT_OR_STRING: True, "anyOf": choices, **kept}
    # Of a list that a validator looks at first, pydantic writes the bounds as those of a text.
    spelled = {f"{end}Length": f"{end}{_COUNTED[raw['type']]}" for end in ("min", "max")}
    schema: Schema = {"type": raw["type"]}
    schema |= {spelled.get(key, key): raw[key] for key in _BOUNDS if key in raw}
    if "properties" in raw:
        schema["properties"] = {
            name: _make_structural(value, definitions) for name, value in raw["properties"].items()
        }
        if required := raw.get("required"):
            schema["required"] = required
    elif raw["type"] == "object":
        values = raw.get("additionalProperties")
        if isinstance(values, Mapping) and "type" in values:
            schema["additionalProperties"] = _make_structural(values, definitions)
        else:
            schema[_ANY_FIELDS] = True
    if "items" in raw:
        schema["items"] = _make_structural(raw["items"], definitions)
    return schema


#: What is counted in a value, by its type.
_COUNTED: Final = defaultdict(lambda: "Length", array="Items", object="Properties")
_BOUNDS: Final = (
    "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "maxProperties",
)  # fmt: skip


def _describe(schema: Schema, model: type[BaseModel], path: str = "") -> None:
    """Put the fields' descriptions and defaults into the schema of `model`."""
    for field in model.model_fields.values():
        own = f"{path}{field.alias}"
        target = schema["properties"][str(field.alias)]
        default = _write_default(field)
        said = field.description or ""
        decided = any(own == given or own.startswith(f"{given}.") for given in _DOCUMENT_DECIDES)
        if default is not None and decided:
            shown = default if isinstance(default, str | int) else _show(default)
            said += f"; default {shown}" if shown else ""
        elif default is not None:
            target["default"] = default
        target["description"] = said
        inner = _find_model(field.annotation)
        if inner is not None:
            _describe_part(target, inner, own)
        elif target.get("type") == "array" and "description" not in target["items"]:
            target["items"]["description"] = f"one of {field.alias}"


def _describe_part(target: Schema, inner: type[BaseModel], own: str) -> None:
    if target.get("type") == "array":
        items = target["items"]
        items["description"] = _first_line(inner)
        _describe(items, inner, f"{own}[].")
        return
    _describe(target, inner, f"{own}.")


def _write_default(field: FieldInfo) -> Any:
    """Return a field's default as people write it in a file; None where it has none."""
    default = field.get_default(call_default_factory=False)
    if default is PydanticUndefined or default is None or default in ((), {}):
        return None
    if any(getattr(meta, "func", None) is parse_duration for meta in field.metadata):
        return format_duration(default)
    return _write(default)


def _write(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case Source():
            return format_source(value)
        case Pair():
            return {"name": value.name}
        case tuple():
            return [_write(item) for item in value]
        case BaseModel():
            # What differs from the part's own defaults; the rest is filled in further down.
            return {
                str(type(value).model_fields[name].alias): _write(getattr(value, name))
                for name in sorted(value.model_fields_set)
            }
        case _:
            return value


def _show(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_show(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(str(item) for item in value.values())
    return str(value)


def _find_model(annotation: Any) -> type[BaseModel] | None:
    if annotation is Source:
        return SourceSpec
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_find_model(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n")[0]


def _walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, within in schema.get("properties", {}).items():
        yield from _walk(within, f"{path}.{name}" if path else name)
    if "items" in schema:
        yield from _walk(schema["items"], f"{path}[]")


def _fill(value: Any, schema: Schema) -> Any:
    """Return a default with the defaults of its own fields."""
    if isinstance(value, list):
        return [_fill(item, schema["items"]) for item in value]
    if not isinstance(value, Mapping):
        return value
    filled = dict(value)
    for name, within in schema.get("properties", {}).items():
        if name in filled or "default" in within:
            filled[name] = _fill(filled.get(name, within.get("default")), within)
    return filled


class _Dumper(yaml.SafeDumper):
    """Writes what stands at two places twice: an API server reads no anchors' meaning better."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def format_crd() -> str:
    """Return the file that ships."""
    head = "# Made by `make manifests` from the classes that read a PriceNetwork.\n"
    text: str = yaml.dump(
        make_crd(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return head + text


if __name__ == "__main__":
    sys.stdout.write(format_crd())

"""One YAML document that is a mapping, read as strictly as YAML can be. Pure."""

from __future__ import annotations

from typing import Any

import yaml

from gossip_price.network.problems import Problem, ProblemsError


class _UniqueLoader(yaml.SafeLoader):
    """YAML without doubled keys: PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value} stands twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_mapping(text: str) -> dict[str, Any]:
    """Decode one YAML document that is a mapping. Raises ProblemsError, which names the line."""
    try:
        loaded = yaml.load(text, Loader=_UniqueLoader)  # noqa: S506 - a SafeLoader, and stricter
    except yaml.MarkedYAMLError as error:
        # Not str(error): it quotes the line, and the line may hold a secret.
        mark = error.problem_mark
        line = f"line {mark.line + 1}" if mark else ""
        raise _refuse(f"not YAML: {error.problem}", line) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise _refuse("not YAML that can be read: one document is needed") from None
    if loaded is None:
        raise _refuse("nothing is in it: `name: value` lines are needed")
    if not isinstance(loaded, dict):
        kind = "a list" if isinstance(loaded, list) else "a single value"
        raise _refuse(f"it holds {kind}: `name: value` lines are needed")
    return loaded


def _refuse(words: str, place: str = "") -> ProblemsError:
    return ProblemsError([Problem(place, None, words, is_sentence=True)])

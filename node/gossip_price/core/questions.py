"""Questions that one node asks another directly, and their answers: MessagePack, read strictly.

Any bytes either decode or raise WireError. Both are arrays that begin with a word for what they
are about, so that further kinds of question can stand beside the first. What is in an answer is
not believed for having been asked for: `checks` judges it as if it had come by gossip.
`docs/protocol.md` gives the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from gossip_price.core.limits import (
    ANSWER_BYTES_MAX,
    ASK_IDS_MAX,
    QUESTION_BYTES_MAX,
    WALK_NODES_ASK_MAX,
)
from gossip_price.core.merkle import DEPTH_MAX
from gossip_price.core.types import Bytes32, Entry, UInt
from gossip_price.core.wire import WireError

T = TypeVar("T")

#: Room for the frame around the entries of an answer.
_FRAME_BYTES: Final = 32


class Want(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="entries"):
    """Give me what you have of these ids."""

    ids: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=ASK_IDS_MAX)]


class Gift(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="entries"):
    """Entries that were asked for, in the order of the question: those there are, and that fit."""

    entries: Annotated[tuple[Entry, ...], Meta(max_length=ASK_IDS_MAX)]


Place = Annotated[str, Meta(pattern=f"^[0-9a-f]{{0,{DEPTH_MAX}}}$")]


class WantNodes(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="nodes"
):
    """Give me these nodes of your tree of a day: (place, hash) each, as your roots led me to."""

    day: UInt
    nodes: Annotated[
        tuple[tuple[Place, Bytes32], ...], Meta(min_length=1, max_length=WALK_NODES_ASK_MAX)
    ]


class GiftNodes(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="nodes"
):
    """The bytes of each node that was asked for, in order; none for one that is no more."""

    nodes: Annotated[tuple[bytes, ...], Meta(max_length=WALK_NODES_ASK_MAX)]


Question = Want | WantNodes

_encoder: Final = msgspec.msgpack.Encoder()
_question_decoder: Final[msgspec.msgpack.Decoder[Question]] = msgspec.msgpack.Decoder(Question)
_gift_decoder: Final = msgspec.msgpack.Decoder(Gift)
_nodes_decoder: Final = msgspec.msgpack.Decoder(GiftNodes)


def encode_question(question: Question) -> bytes:
    """Return the question's bytes."""
    return _encoder.encode(question)


def decode_question(data: bytes) -> Question:
    """Read a question. Raises WireError with reason `size` or `malformed`."""
    _check_size(data, QUESTION_BYTES_MAX)
    return _decode(_question_decoder, data)


def encode_answer(entries: Iterable[Entry]) -> bytes:
    """Return the answer's bytes with as many of these entries, in order, as fit."""
    given: list[Entry] = []
    size = _FRAME_BYTES
    for entry in entries:
        size += len(_encoder.encode(entry))
        if size > ANSWER_BYTES_MAX:
            break
        given.append(entry)
    return _encoder.encode(Gift(tuple(given)))


def encode_nodes(nodes: Iterable[bytes]) -> bytes:
    """Return the answer's bytes with these nodes."""
    return _encoder.encode(GiftNodes(tuple(nodes)))


def decode_nodes(data: bytes) -> GiftNodes:
    """Read an answer of nodes. Raises WireError with reason `size` or `malformed`."""
    _check_size(data, ANSWER_BYTES_MAX)
    return _decode(_nodes_decoder, data)


def decode_answer(data: bytes) -> Gift:
    """Read an answer. Raises WireError with reason `size` or `malformed`."""
    _check_size(data, ANSWER_BYTES_MAX)
    return _decode(_gift_decoder, data)


def _check_size(data: bytes, allowed: int) -> None:
    if len(data) > allowed:
        raise WireError("size", f"{len(data)} bytes, allowed: {allowed}")


def _decode(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WireError("malformed", str(error)) from error

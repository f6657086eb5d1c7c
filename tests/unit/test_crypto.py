from __future__ import annotations

import tracemalloc

import pytest

from gossip_price import crypto
from gossip_price.crypto import CURVE_ORDER, SignatureError, StructType

SECRET = crypto.keccak256(b"a key")
DIGEST = crypto.keccak256(b"something")
SIGNATURE = crypto.sign(SECRET, DIGEST)
R, S, V = SIGNATURE[:32], SIGNATURE[32:64], SIGNATURE[64]


def pack(r: int, s: int, v: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])


def test_keccak_is_the_original_one_and_not_the_standards() -> None:
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert crypto.keccak256(b"").hex() == empty


def test_an_address_is_ethereums() -> None:
    # Private key 1, known to everybody.
    address = crypto.get_address((1).to_bytes(32, "big"))
    assert address.hex() == "7e5f4552091a69125d5dfcb7b8c2659029395bdf"


def test_who_signed_is_recovered() -> None:
    assert crypto.recover(DIGEST, SIGNATURE) == crypto.get_address(SECRET)
    assert crypto.recover(crypto.keccak256(b"else"), SIGNATURE) != crypto.get_address(SECRET)


def test_signing_is_deterministic_and_low() -> None:
    assert crypto.sign(SECRET, DIGEST) == SIGNATURE
    for number in range(50):
        signature = crypto.sign(SECRET, crypto.keccak256(b"%d" % number))
        assert int.from_bytes(signature[32:64], "big") <= CURVE_ORDER // 2
        assert signature[64] in (27, 28)


HIGH_S = pack(int.from_bytes(R, "big"), CURVE_ORDER - int.from_bytes(S, "big"), 55 - V)

REFUSED = {
    "a byte too few": (SIGNATURE[:64], "65 bytes, not 64"),
    "a byte too many": (SIGNATURE + b"\0", "65 bytes, not 66"),
    "nothing": (b"", "65 bytes, not 0"),
    "v of 0": (SIGNATURE[:64] + b"\x00", "27 or 28, not 0"),
    "v of 1": (SIGNATURE[:64] + b"\x01", "27 or 28, not 1"),
    "v of 26": (SIGNATURE[:64] + b"\x1a", "27 or 28, not 26"),
    "v of 29": (SIGNATURE[:64] + b"\x1d", "27 or 28, not 29"),
    "its other spelling, with a high s": (HIGH_S, "upper half"),
    "s of the order": (pack(1, CURVE_ORDER, 27), "upper half"),
    "r of zero": (pack(0, 1, 27), "do not recover"),
    "s of zero": (pack(1, 0, 27), "do not recover"),
    "r of the order": (pack(CURVE_ORDER, 1, 27), "do not recover"),
    "r of all ones": (pack(2**256 - 1, 1, 27), "do not recover"),
    # x = 5 is on no point of secp256k1: 5³ + 7 is no square.
    "r of no point": (pack(5, 1, 27), "do not recover"),
    "zeros with a good v": (pack(0, 0, 27), "do not recover"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_signature_is_refused_by_name(case: str) -> None:
    signature, said = REFUSED[case]
    with pytest.raises(SignatureError, match=said):
        crypto.recover(DIGEST, signature)


def test_the_other_v_is_another_signer() -> None:
    other = SIGNATURE[:64] + bytes([55 - V])
    assert crypto.recover(DIGEST, other) != crypto.get_address(SECRET)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint64", 2**64),
        ("uint256", 2**256),
        ("uint64", "7"),
        ("bytes32", b"x" * 31),
        ("bytes32", b"x" * 33),
        ("bytes32", 7),
        ("address", b"x" * 32),
        ("address", "0x00"),
        ("string", b"text"),
        ("string", 7),
        ("bytes", "text"),
        ("bytes32[]", b"x" * 32),
        ("bytes32[]", [b"x"]),
    ],
)
def test_a_struct_refuses_a_value_that_is_not_of_its_type(kind: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"is no|does not fit"):
        StructType(f"T({kind} a)").encode(value)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    "definition", ["", "T", "T(uint8 a", "(uint8 a)", "1T(uint8 a)", "T(int256 a)", "T(bool a)"]
)
def test_what_is_no_struct_type_is_refused(definition: str) -> None:
    with pytest.raises(ValueError, match="not an EIP-712 struct type"):
        StructType(definition)


def test_a_struct_takes_all_its_values() -> None:
    with pytest.raises(ValueError, match="takes 2 values"):
        StructType("T(uint8 a,uint8 b)").encode(1)


def test_however_much_is_hashed_little_of_it_is_kept() -> None:
    """Anybody connected may send a thousand heartbeats whose fields are as long as allowed."""
    struct = StructType("T(bytes a)")
    tracemalloc.start()
    try:
        for number in range(3_000):
            struct.encode(number.to_bytes(16_384, "big"))
            struct.encode(number.to_bytes(1_024, "big"))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000


@pytest.mark.parametrize("length", [0, 1, 1_024, 1_025, 16_384])
def test_bytes_of_any_length_are_hashed_as_they_are(length: int) -> None:
    struct = StructType("T(bytes a)")
    for value in (b"x" * length, b"y" * length, b"x" * length):
        assert struct.encode(value) == struct.type_hash + crypto.keccak256(value)


def test_a_mail_of_the_standards_example_has_its_hash() -> None:
    # EIP-712's example, its inner struct: Person(string name,address wallet) of Cow.
    person = StructType("Person(string name,address wallet)")
    cow = person.encode("Cow", bytes.fromhex("CD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"))
    expected = "fc71e5fa27ff56c350aa531bc129ebdf613b772b6604664f5d8dbe21b85eb0c8"
    assert crypto.keccak256(cow).hex() == expected


def test_domains_of_two_networks_differ() -> None:
    one = crypto.compute_domain_separator("gossip-price", "1", b"a" * 32)
    assert one != crypto.compute_domain_separator("gossip-price", "1", b"b" * 32)
    assert one != crypto.compute_domain_separator("gossip-price", "2", b"a" * 32)

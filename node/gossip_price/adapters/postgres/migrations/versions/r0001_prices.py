"""Prices with their proofs, late signatures, epochs, and the store's own name."""

from __future__ import annotations

import secrets
from typing import Final

from alembic import op
from sqlalchemy import text

revision = "0001"
down_revision = None

_HASH: Final = "'^0x[0-9a-f]{64}$'"
_ADDRESS: Final = "'^0x[0-9a-fA-F]{40}$'"
_SIGNATURE: Final = "'^0x[0-9a-f]{130}$'"

_TABLES: Final = (
    f"""
    CREATE TABLE prices (
        id text PRIMARY KEY CHECK (id ~ {_HASH}),
        price numeric NOT NULL CHECK (price > 0 AND price < 'Infinity'),
        first_signer text NOT NULL CHECK (first_signer ~ {_ADDRESS}),
        sign_data jsonb NOT NULL CHECK (jsonb_typeof(sign_data) = 'array'),
        lastsigned_time timestamptz NOT NULL,
        created_time timestamptz NOT NULL DEFAULT now(),
        report bytea NOT NULL CHECK (octet_length(report) = 256),
        epoch text NOT NULL CHECK (epoch ~ {_HASH}),
        pair text NOT NULL CHECK (pair <> ''),
        round bigint NOT NULL CHECK (round >= 0),
        observed_time timestamptz NOT NULL,
        decimals smallint NOT NULL CHECK (decimals BETWEEN 0 AND 18),
        source jsonb,
        spread_bp integer,
        writer text
    )
    """,
    "CREATE INDEX prices_pair_round ON prices (pair, round DESC)",
    "CREATE INDEX prices_created_time ON prices (created_time)",
    f"""
    CREATE TABLE signatures (
        id text NOT NULL CHECK (id ~ {_HASH}),
        signer text NOT NULL CHECK (signer ~ {_ADDRESS}),
        signature text NOT NULL CHECK (signature ~ {_SIGNATURE}),
        seen_time timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (id, signer)
    )
    """,
    f"""
    CREATE TABLE epochs (
        hash text PRIMARY KEY CHECK (hash ~ {_HASH}),
        network_id text NOT NULL CHECK (network_id ~ {_HASH}),
        epoch bigint NOT NULL CHECK (epoch >= 1),
        previous text NOT NULL CHECK (previous ~ {_HASH}),
        start_time timestamptz NOT NULL,
        document text NOT NULL
    )
    """,
    """
    CREATE TABLE meta (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        store_id bytea NOT NULL CHECK (octet_length(store_id) = 32)
    )
    """,
)

_LOCAL: Final = "LOCAL, not signed: only what the writing node says."

_COMMENTS: Final = {
    "TABLE alembic_version": "The revision of this schema; written by gossip-price migrate.",
    "TABLE prices": "Prices that a quorum of the network signed. `gossip-price verify` proves each "
    "row from report, sign_data and its epoch.",
    "COLUMN prices.id": "EIP-712 digest of the report, hex: content decides it.",
    "COLUMN prices.price": "The price in the quote currency; the report's integer / 10^decimals.",
    "COLUMN prices.first_signer": "Address (EIP-55) of the member that proposed and signed first.",
    "COLUMN prices.sign_data": "The signatures at settlement: array of {signer, signature}, by "
    "signer; 65 bytes r,s,v over id.",
    "COLUMN prices.lastsigned_time": f"{_LOCAL} When it saw the last new signer.",
    "COLUMN prices.created_time": f"{_LOCAL} When this row was inserted (database clock).",
    "COLUMN prices.report": "The canonical signed bytes: EIP-712 typeHash and encodeData of "
    "Report, 8 words of 32 bytes; the source of every signed column.",
    "COLUMN prices.epoch": "Hash of the network document that the signers stand in (epochs.hash).",
    "COLUMN prices.pair": "BASE-QUOTE, as in the network document.",
    "COLUMN prices.round": "The round, named by its start in Unix seconds.",
    "COLUMN prices.observed_time": "When the proposer fetched the price.",
    "COLUMN prices.decimals": "Digits after the point in the signed integer price.",
    "COLUMN prices.source": f"{_LOCAL} Names of the sources of its own observation, an array.",
    "COLUMN prices.spread_bp": f"{_LOCAL} Its sources' highest over lowest, in basis points.",
    "COLUMN prices.writer": f"{_LOCAL} Address (EIP-55) of the node that wrote the row.",
    "TABLE signatures": "Signatures that came after a row was stored; append-only.",
    "COLUMN signatures.id": "The price's id (prices.id).",
    "COLUMN signatures.signer": "Address (EIP-55) of the member.",
    "COLUMN signatures.signature": "65 bytes r,s,v over id, hex.",
    "COLUMN signatures.seen_time": "LOCAL, not signed: when this row was inserted.",
    "TABLE epochs": "Every network document ever used, so that any price can be proven later. "
    "Each names the hash of the one before: who trusts one hash can check those before it.",
    "COLUMN epochs.hash": "keccak-256 of document.",
    "COLUMN epochs.network_id": "The network's 32 random bytes, hex.",
    "COLUMN epochs.epoch": "The epoch's number, from 1.",
    "COLUMN epochs.previous": "Hash of the epoch before; zeros for the first.",
    "COLUMN epochs.start_time": "From this round on the epoch is in force.",
    "COLUMN epochs.document": "The network document's canonical bytes (compact JSON).",
    "TABLE meta": "One row about this database.",
    "COLUMN meta.only_row": "Holds the table to one row.",
    "COLUMN meta.store_id": "32 random bytes, made once: which database this is. Nodes that name "
    "the same one take turns in writing.",
}


def upgrade() -> None:
    """Make every table, say what each column is, and name the store."""
    for statement in _TABLES:
        op.execute(statement)
    for thing, words in _COMMENTS.items():
        quoted = words.replace("'", "''")
        op.execute(f"COMMENT ON {thing} IS '{quoted}'")
    op.get_bind().execute(
        text("INSERT INTO meta (store_id) VALUES (:store_id)"),
        {"store_id": secrets.token_bytes(32)},
    )

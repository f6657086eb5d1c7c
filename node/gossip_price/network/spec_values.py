"""The values of a PriceNetwork's spec: pairs, bounded texts and numbers. Pure.

Validators raise ValueError with what is allowed as its text. A price's sources are read in
`source_mapping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from gossip_price.network.document import (
    DAY_S,
    DECIMALS_MAX,
    INTEGER_MAX,
    PAIR_PATTERN,
    PairTerms,
)
from gossip_price.network.durations import parse_duration
from gossip_price.network.keys import KeyFormatError, parse_peer_id
from gossip_price.network.problems import make_hidden_error

DEFAULT_DECIMALS: Final = 8


def parse_deviation(value: object) -> int:
    """Return basis points: from percent text (`1%`) or from basis points themselves."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000:
        return value
    if isinstance(value, str) and value.strip().endswith("%"):
        points = _parse_units(value.strip()[:-1], 2)
        if points is not None and 1 <= points <= 10_000:
            return points
    raise ValueError("percent as text from 0.01% to 100%, or basis points from 1 to 10000")


def _parse_units(value: object, decimals: int) -> int | None:
    """Read a whole number or decimal text as units of 10^-decimals; None if it is no such."""
    if not isinstance(value, int | str) or isinstance(value, bool) or len(str(value)) > 40:
        return None
    try:
        units = Decimal(value).scaleb(decimals)
    except InvalidOperation:
        return None
    if not units.is_finite() or units != units.to_integral_value():
        return None
    return int(units)


def _parse_price(value: object) -> object:
    # Floats are refused: 0.1 would become another price on its way.
    if value is not None and _parse_units(value, DECIMALS_MAX) is None:
        raise ValueError("a whole number, or a decimal number in quotes")
    return None if value is None else str(value)


def _check_pair_name(name: str) -> str:
    if PAIR_PATTERN.fullmatch(name) is None:
        raise ValueError("BASE-QUOTE in capitals and digits, such as ETH-USD")
    return name


def _check_peer_id(text: str) -> str:
    try:
        return parse_peer_id(text)
    except KeyFormatError as error:
        raise ValueError("the peer id of a secp256k1 key (16Uiu2…)") from error


def _as_tuple(value: object) -> object:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError("a list")
    return tuple(value)


#: What the JSON schema cannot say by itself of values that are a number or a text.
_INT_OR_TEXT: Final = {"anyOf": [{"type": "integer"}, {"type": "string"}]}

Interval = Annotated[
    int,
    BeforeValidator(parse_duration),
    Field(ge=1, le=DAY_S),
    WithJsonSchema(
        {
            **_INT_OR_TEXT,
            "minimum": 1,
            "maximum": DAY_S,
            "minLength": 1,
            "maxLength": 21,
            "pattern": r"^([0-9]{1,9}|([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?)$",
        }
    ),
]
Deviation = Annotated[
    int,
    BeforeValidator(parse_deviation),
    WithJsonSchema(
        {
            **_INT_OR_TEXT,
            "minimum": 1,
            "maximum": 10_000,
            "maxLength": 8,
            "pattern": r"^[0-9]{1,3}(\.[0-9]{1,2})?%$",
        }
    ),
]
Name = Annotated[
    StrictStr, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)
]
Text = Annotated[StrictStr, Field(min_length=1, max_length=1024)]
Listed = BeforeValidator(_as_tuple)
Price = Annotated[
    str | None,
    BeforeValidator(_parse_price),
    WithJsonSchema(
        {
            **_INT_OR_TEXT,
            "minimum": 0,
            "maxLength": 40,
            "pattern": r"^[0-9]{1,20}(\.[0-9]{1,18})?$",
        }
    ),
]
PeerId = Annotated[
    StrictStr,
    AfterValidator(_check_peer_id),
    Field(json_schema_extra={"pattern": r"^16Uiu2[1-9A-HJ-NP-Za-km-z]{40,60}$", "maxLength": 66}),
]


class Part(BaseModel):
    """Common to all parts: frozen, camelCase outside, unknown fields refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=False,
        arbitrary_types_allowed=True,
    )


class Pair(Part):
    """An asset's price in a currency."""

    name: Annotated[
        StrictStr,
        AfterValidator(_check_pair_name),
        Field(json_schema_extra={"pattern": f"^{PAIR_PATTERN.pattern}$", "maxLength": 25}),
    ] = Field(description="BASE-QUOTE in capitals; every member and source uses this spelling")
    decimals: Annotated[StrictInt, Field(ge=0, le=DECIMALS_MAX)] = Field(
        default=DEFAULT_DECIMALS, description="prices are integers in units of 10^-decimals"
    )
    min_price: Price = Field(
        default=None, description="lower bound in the quote currency; default one unit"
    )
    max_price: Price = Field(
        default=None,
        description=f"upper bound in the quote currency; default {INTEGER_MAX} (2^53-1) units",
    )

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        low, high = self._parse_bounds()
        if low is None or high is None or not 1 <= low <= high <= INTEGER_MAX:
            largest = Decimal(INTEGER_MAX).scaleb(-self.decimals)
            raise make_hidden_error(
                f"1 unit (1e-{self.decimals}) ≤ minPrice ≤ maxPrice ≤ {largest:f}, each with at"
                f" most {self.decimals} decimals"
            )
        return self

    def _parse_bounds(self) -> tuple[int | None, int | None]:
        low = 1 if self.min_price is None else _parse_units(self.min_price, self.decimals)
        high = INTEGER_MAX
        return low, high if self.max_price is None else _parse_units(self.max_price, self.decimals)

    def make_terms(self) -> PairTerms:
        """Return the pair as the document writes it: bounds in units."""
        low, high = self._parse_bounds()
        if low is None or high is None:  # _check_bounds has seen to it
            raise AssertionError("bounds were not checked")
        return PairTerms(self.name, self.decimals, low, high)

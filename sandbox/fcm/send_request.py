"""A send as it arrives, held to the shape that FCM v1 documents; what FCM would refuse does not validate."""

import json
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

PAYLOAD_LIMIT_BYTES = 4096
_RESERVED_KEYS = frozenset({"from", "message_type"})
_RESERVED_PREFIXES = ("google.", "gcm.")


def _not_reserved(key: str) -> str:
    if key in _RESERVED_KEYS or key.startswith(_RESERVED_PREFIXES):
        raise ValueError(f"Invalid data payload key: {key}")
    return key


Duration = Annotated[str, StringConstraints(pattern=r"^\d+(\.\d{1,9})?s$")]
DataKey = Annotated[str, AfterValidator(_not_reserved)]
Address = Annotated[str, StringConstraints(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Notification(_Part):
    title: str = ""
    body: str = ""
    image: str | None = None


class Android(_Part):
    collapse_key: str | None = None
    priority: Literal["normal", "high", "NORMAL", "HIGH"] | None = None
    ttl: Duration | None = None

    @property
    def ttl_seconds(self) -> float | None:
        return float(self.ttl.removesuffix("s")) if self.ttl else None


class Apns(_Part):
    headers: dict[str, str] = Field(default_factory=dict)
    payload: dict[str, object] = Field(default_factory=dict)


class Push(_Part):
    token: Address | None = None
    fid: Address | None = None
    notification: Notification = Notification()
    data: dict[DataKey, str] = Field(default_factory=dict)
    android: Android = Android()
    apns: Apns = Apns()

    @model_validator(mode="after")
    def _goes_to_one_address(self) -> Self:
        if (self.token is None) == (self.fid is None):
            raise ValueError("Recipient of the message is not set.")
        return self

    @property
    def address(self) -> str:
        return self.token or self.fid or ""

    @property
    def payload_bytes(self) -> int:
        """What counts against the limit: the visible text and the data."""
        counted = {"notification": self.notification.model_dump(exclude_none=True), "data": self.data}
        return len(json.dumps(counted, ensure_ascii=False, separators=(",", ":")).encode())


class SendRequest(_Part):
    message: Push
    validate_only: bool = False

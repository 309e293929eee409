"""docker-compose.yml as types: whatever it says that is not known here is refused. For its tests and the rehearsal."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, field_validator

_PIECE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?:(?P<operator>:[?+-])(?P<word>[^}]*))?\}|(?P<stray>\$)")


class UnsetError(Exception):
    """A variable that must be set; the text is the file's own."""


@dataclass(frozen=True, slots=True)
class Variable:
    """`${NAME:?word}`: must be set. `${NAME:-word}`: else the word. `${NAME:+word}`: the word where it is set."""

    name: str
    operator: str
    word: str


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HealthCheck(_Part):
    test: list[str]
    interval: str = "30s"
    timeout: str = "30s"
    start_period: str = "0s"
    retries: int = 3


class Condition(_Part):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Bind(_Part):
    create_host_path: bool


class Mount(_Part):
    type: Literal["bind", "volume"]
    source: str
    target: str
    read_only: bool = False
    bind: Bind | None = None


class Logging(_Part):
    driver: str
    options: dict[str, str]


class Service(_Part):
    image: str
    build: str | None = None
    user: str
    entrypoint: list[str] | None = None
    command: list[str] | None = None
    environment: dict[str, str] = {}
    volumes: list[Mount] = []
    secrets: list[str] = []
    networks: list[str] = []
    network_mode: Literal["none"] | None = None
    ports: list[str] = []
    depends_on: dict[str, Condition] = {}
    healthcheck: HealthCheck | None = None
    restart: Literal["unless-stopped", "no"]
    stop_grace_period: str = "10s"
    shm_size: str | None = None
    read_only: bool = False
    tmpfs: list[str] = []
    cap_drop: list[str]
    security_opt: list[str]
    logging: Logging

    @field_validator("volumes", mode="before")
    @classmethod
    def _named(cls, volumes: list[Any]) -> list[Any]:
        """`name:/path`, the short form of a named volume."""
        return [_long_form(volume) if isinstance(volume, str) else volume for volume in volumes]

    @property
    def is_job(self) -> bool:
        return self.restart == "no"


class Subnet(_Part):
    subnet: str


class AddressPlan(_Part):
    config: list[Subnet]


class Network(_Part):
    internal: bool = False
    ipam: AddressPlan | None = None


class SecretFile(_Part):
    file: str


class ComposeFile(_Part):
    name: str
    services: dict[str, Service]
    networks: dict[str, Network]
    volumes: dict[str, None]
    secrets: dict[str, SecretFile]


def read_compose_file(file: Path, environment: Mapping[str, str]) -> ComposeFile:
    """With its variables filled in. Raises UnsetError, yaml.YAMLError and pydantic.ValidationError."""
    filled = _filled(yaml.safe_load(file.read_text()), environment)
    return ComposeFile.model_validate({key: value for key, value in filled.items() if not key.startswith("x-")})


def variables(text: str) -> Iterator[Variable]:
    for piece in _PIECE.finditer(text):
        if piece["name"]:
            yield Variable(piece["name"], piece["operator"] or "", piece["word"] or "")


def seconds(duration: str) -> int:
    """Of `30s` or `2m`."""
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def _long_form(volume: str) -> dict[str, str]:
    name, _, target = volume.partition(":")
    return {"type": "volume", "source": name, "target": target}


def _filled(part: Any, environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - whatever YAML holds
    if isinstance(part, dict):
        return {key: _filled(value, environment) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, environment) for value in part]
    return _PIECE.sub(lambda piece: _value(piece, environment), part) if isinstance(part, str) else part


def _value(piece: re.Match[str], environment: Mapping[str, str]) -> str:
    if piece["stray"]:
        raise ValueError(f"a $ that is neither $$ nor ${{NAME}}: {piece.string!r}")
    if not piece["name"]:
        return "$"
    value = environment.get(piece["name"], "")
    match piece["operator"]:
        case ":?" if not value:
            raise UnsetError(f"{piece['name']}: {piece['word']}")
        case ":-" if not value:
            return piece["word"]
        case ":+":
            return piece["word"] if value else ""
    return value

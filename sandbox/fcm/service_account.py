"""Credentials that Google never saw: a fresh key, the JSON a client reads, and the check of what the client signs."""

import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT = "drumbeat-sandbox"
_EMAIL = f"campaigns@{PROJECT}.iam.gserviceaccount.example"
_UNIVERSE = "sandbox.invalid"
"""A universe of its own makes google-auth sign its tokens itself and keeps it from asking Google about the account."""
_MESSAGING_SCOPES = frozenset(
    {"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/firebase.messaging"}
)


class ServiceAccount:
    """Writes `service-account.json` into the folder."""

    def __init__(self, folder: Path) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._public_key = key.public_key()
        self._valid_until: dict[str, float] = {}
        self.file = folder / "service-account.json"
        self.file.touch(mode=0o600)
        self.file.write_text(json.dumps(_account(key), indent=2), encoding="utf-8")

    def signed(self, authorization: str) -> bool:
        """Whether an Authorization header carries a valid token, signed by this account for messaging."""
        # Remembered while it lasts: a client signs once an hour, and the check is the dearest step of a request.
        if self._valid_until.get(authorization, 0) < time.time():
            self._valid_until[authorization] = self._signed_until(authorization)
        return self._valid_until[authorization] > time.time()

    def _signed_until(self, authorization: str) -> float:
        """In Unix time; 0 for what this account did not sign."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return 0
        try:
            claims = jwt.decode(token, self._public_key, algorithms=["RS256"], issuer=_EMAIL)
        except jwt.InvalidTokenError:
            return 0
        scopes = claims.get("scope", "").split()
        return 0 if _MESSAGING_SCOPES.isdisjoint(scopes) else float(claims["exp"])


def _account(key: rsa.RSAPrivateKey) -> dict[str, str]:
    private_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "sandbox",
        "private_key": private_key.decode(),
        "client_email": _EMAIL,
        "client_id": "1",
        "token_uri": f"https://oauth2.{_UNIVERSE}/token",
        "universe_domain": _UNIVERSE,
    }

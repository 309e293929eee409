"""A certificate authority that lives as long as the sandbox: its providers speak real TLS, checked by real clients."""

from pathlib import Path

import trustme


class CertificateAuthority:
    """Writes `ca.pem` into its folder; clients are pointed at that file, never at the machine's own trust store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA(organization_name="Drumbeat sandbox")
        self.file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, host: str) -> Path:
        """A PEM file with the private key and the certificate of one host name."""
        file = self._folder / f"{host}.pem"
        file.touch(mode=0o600)
        self._authority.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(str(file))
        return file

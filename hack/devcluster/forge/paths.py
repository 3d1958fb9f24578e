"""Where the forge keeps its things."""

from dataclasses import dataclass
from pathlib import Path

from devcluster.settings import NETWORK, Layout


@dataclass(frozen=True)
class Forge:
    """One forge: its folder and its address."""

    layout: Layout
    address: str

    @property
    def home(self) -> Path:
        """Everything that belongs to the forge's own user."""
        return self.layout.state / "gitea"

    @property
    def url(self) -> str:
        """Its address for pods and the host alike, without a slash at the end."""
        return f"https://{self.address}:{NETWORK.gitea_port}"

    @property
    def ca(self) -> Path:
        """The authority behind its certificate, as PEM."""
        return self.home / "tls" / "forge-ca.crt"

    @property
    def config(self) -> Path:
        """Its app.ini."""
        return self.home / "app.ini"

    @property
    def access_log(self) -> Path:
        """One JSON object per request: time, method, path, user, status, remote, bytes."""
        return self.home / "log" / "access.log"

    def token(self, account: str) -> Path:
        """The file that holds an account's token, mode 0600, without a line end."""
        return self.layout.state / "tokens" / account

    @property
    def admin_password(self) -> Path:
        """The file that holds the administrator's password, mode 0600."""
        return self.layout.state / "tokens" / "admin.password"


ADMIN = "forge-admin"
"""The account that owns the organisation; only seeding and tests use it."""

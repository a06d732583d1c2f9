"""Makes the cluster's keys at the first start, and leaves those alone that there are.

Usage: python keys.py FOLDER DATABASE_FOLDER DATABASE_ADDRESS

FOLDER is for Airflow's processes. DATABASE_FOLDER holds the one password that PostgreSQL's own container reads, and
nothing else. DATABASE_ADDRESS is `user@host:port/name`.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from cryptography.fernet import Fernet

OWNER_ONLY = 0o600
FOR_ANOTHER_USER = 0o644
"""PostgreSQL's image runs as a user of its own; the folder is mounted by that container alone."""


def keep(path: Path, text: str, mode: int = OWNER_ONLY) -> str:
    """Write the text with a mode that is right from the start, if nothing is there; tell what is there."""
    if not path.exists():
        half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        half.touch(mode=OWNER_ONLY)
        half.write_text(text)
        half.chmod(mode)
        half.replace(path)
    return path.read_text()


def main() -> None:
    """Make what is missing."""
    folder, database_folder, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    database_folder.mkdir(parents=True, exist_ok=True)
    keep(folder / "fernet_key", Fernet.generate_key().decode())
    keep(folder / "jwt_secret", secrets.token_urlsafe(48))
    keep(folder / "api_secret_key", secrets.token_urlsafe(48))
    keep(folder / "passwords.json", json.dumps({"admin": secrets.token_urlsafe(15)}) + "\n")
    keep(folder / "store.json", json.dumps({"login": "segexport", "password": secrets.token_urlsafe(30)}))
    password = keep(database_folder / "password", secrets.token_hex(24), FOR_ANOTHER_USER)
    user, _, rest = address.partition("@")
    keep(folder / "sql_alchemy_conn", f"postgresql+psycopg2://{user}:{password}@{rest}")
    keep(folder / "result_backend", f"db+postgresql://{user}:{password}@{rest}")


if __name__ == "__main__":
    main()

"""Creates the missing keys of the cluster, and leaves existing ones as they are.

Usage: python keys.py FOLDER DATABASE_FOLDER DATABASE_ADDRESS

FOLDER is for Airflow's processes. DATABASE_FOLDER holds only the password that PostgreSQL's container reads.
DATABASE_ADDRESS is `user@host:port/name`.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from cryptography.fernet import Fernet

OWNER_ONLY = 0o600
FOR_ANOTHER_USER = 0o644
"""PostgreSQL's image runs as another user. Only that container mounts the folder."""


def write_once(path: Path, text: str, mode: int = OWNER_ONLY) -> str:
    """Write the text if the file does not exist, with the final mode before it appears; return the file's text.

    Args:
        path: the file.
        text: content of a new file.
        mode: permission bits of a new file.
    """
    if not path.exists():
        half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        half.touch(mode=OWNER_ONLY)
        half.write_text(text)
        half.chmod(mode)
        half.replace(path)
    return path.read_text()


def main() -> None:
    """Create the missing keys."""
    folder, database_folder, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    database_folder.mkdir(parents=True, exist_ok=True)
    write_once(folder / "fernet_key", Fernet.generate_key().decode())
    write_once(folder / "jwt_secret", secrets.token_urlsafe(48))
    write_once(folder / "api_secret_key", secrets.token_urlsafe(48))
    write_once(folder / "passwords.json", json.dumps({"admin": secrets.token_urlsafe(15)}) + "\n")
    write_once(folder / "store.json", json.dumps({"login": "segexport", "password": secrets.token_urlsafe(30)}))
    password = write_once(database_folder / "password", secrets.token_hex(24), FOR_ANOTHER_USER)
    user, _, rest = address.partition("@")
    write_once(folder / "sql_alchemy_conn", f"postgresql+psycopg2://{user}:{password}@{rest}")
    write_once(folder / "result_backend", f"db+postgresql://{user}:{password}@{rest}")


if __name__ == "__main__":
    main()

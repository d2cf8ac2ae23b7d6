"""What tells one machine from another, whatever its name: a number that stays."""

import hashlib
import os
import secrets

_MACHINE_ID = "/etc/machine-id"
_FILE = "machine"
_DIGITS = 16


def machine_number(folder: str, machine_id: str = _MACHINE_ID) -> str:
    """16 hexadecimal digits: of the machine's own number (machine-id(5), which is hashed), else one kept in a folder.

    Raises OSError where there is neither.
    """
    try:
        with open(machine_id, encoding="ascii", errors="replace") as file:
            number = file.read().strip()
    except OSError:
        number = ""
    if len(number) == 32:  # as systemd makes it; an image without one has an empty file
        return hashlib.sha256(b"portside agent " + number.encode("ascii", "replace")).hexdigest()[:_DIGITS]
    path = os.path.join(folder, _FILE)
    try:
        with open(path, encoding="ascii") as file:
            kept = file.read().strip()
        if len(kept) == _DIGITS:
            return kept
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    made = secrets.token_hex(_DIGITS // 2)
    with open(path, "w", encoding="ascii") as file:
        file.write(made)
    return made

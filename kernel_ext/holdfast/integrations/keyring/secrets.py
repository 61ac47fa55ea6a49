"""``secret("keyring:SERVICE/USER")``: the keyring of the person (or the service account) that runs the kernel."""

from __future__ import annotations


def read(place: str) -> str:
    """The password of ``SERVICE/USER``.

    Raises:
        ValueError: badly written, not there, no keyring, or the package is not installed.
    """
    service, slash, user = place.rpartition("/")
    if not slash:
        raise ValueError("it is written keyring:SERVICE/USER")
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise ValueError("the package keyring is not installed (extra `keyring`)") from None
    try:
        found = keyring.get_password(service, user)
    except KeyringError as error:
        raise ValueError(f"the keyring says: {error}") from None
    if not found:
        raise ValueError(f"the keyring has no password of {user} for {service}")
    return str(found)

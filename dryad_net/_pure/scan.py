"""The recv_until scanner: where, in bytes that keep arriving, does a delimiter end?"""

from __future__ import annotations


def find(data: bytes | bytearray, delimiter: bytes, scanned: int = 0) -> int:
    """Find where the first delimiter ends.

    data: what is searched; delimiter: what is looked for, not empty; scanned: how many bytes at
    the start an earlier call has searched already.
    Returns the index after the delimiter's last byte, or -1.
    """
    if not delimiter or scanned < 0:
        raise ValueError("an empty delimiter or a negative count")
    # A delimiter may have begun among the bytes that were searched before.
    begin = data.find(delimiter, max(scanned - len(delimiter) + 1, 0))
    return -1 if begin < 0 else begin + len(delimiter)

"""permessage-deflate with other implementations: every parameter that they can be told to ask for or to answer with."""

from __future__ import annotations

import random

import pytest
from peer_support import KINDS, Kind, Meet, Meeting, peers_that
from peers.conversation import Deflate, Opening
from peers.table import PEERS

import dryad_net as net

pytest_plugins = ["peer_fixtures"]

# Alike, within a message and from one to the next, at distances within and beyond every window.
TEXTS = ["".join(f"line {number}: the same, and nearly the same\n" for number in range(n)) for n in (10, 200, 1500)]
COMPRESSED = Opening(deflate={})

WITH_PARAMETERS = [
    pytest.param(kind, deflate, id=f"{kind}, " + (" ".join(f"{k}={v}" for k, v in deflate.items()) or "its own"))
    for kind in KINDS
    for deflate in (PEERS[kind.peer].offers if kind.role == "client" else PEERS[kind.peer].answers)
]
WITH_COMPRESSION = [kind for kind in KINDS if PEERS[kind.peer].offers]


def talk(meeting: Meeting) -> None:
    """Messages in which the compressors' history matters, and such that do not compress."""
    meeting.exchange(*TEXTS, "", *TEXTS)
    noise = random.Random(3).randbytes(50_000)
    meeting.exchange(noise, b"", noise, b"\0" * (1 << 20))


@pytest.mark.parametrize(("peer_kind", "deflate"), WITH_PARAMETERS, indirect=["peer_kind"])
def test_parameters(meet: Meet, deflate: Deflate) -> None:
    meeting = meet(COMPRESSED, Opening(deflate=deflate))
    assert net.native_ws_client_info(meeting.id)["compression"]
    agreed = meeting.other.headers.get("sec-websocket-extensions", "permessage-deflate")
    assert agreed.startswith("permessage-deflate")
    talk(meeting)


@pytest.mark.parametrize("peer_kind", WITH_COMPRESSION, indirect=True, ids=str)
def test_only_the_peer_wants_it(meet: Meet) -> None:
    meeting = meet(theirs=COMPRESSED)
    assert not net.native_ws_client_info(meeting.id)["compression"]
    meeting.exchange(*TEXTS)


@pytest.mark.parametrize(
    "peer_kind", [each for each in KINDS if each.peer not in {"undici", "chromium"}], indirect=True, ids=str
)
def test_only_the_library_wants_it(meet: Meet) -> None:
    meeting = meet(ours=COMPRESSED)
    assert not net.native_ws_client_info(meeting.id)["compression"]
    meeting.exchange(*TEXTS)


@pytest.mark.parametrize("peer_kind", WITH_COMPRESSION, indirect=True, ids=str)
def test_fragments_from_the_library(meet: Meet) -> None:
    meeting = meet(COMPRESSED, COMPRESSED)
    net.native_ws_set_max_frame_size(meeting.id, 100)
    meeting.send(*TEXTS)
    assert meeting.other.receive(3) == TEXTS


@pytest.mark.parametrize(
    "peer_kind", [kind for kind in WITH_COMPRESSION if "fragments" in PEERS[kind.peer].can], indirect=True, ids=str
)
def test_fragments_from_the_peer(meet: Meet) -> None:
    meeting = meet(COMPRESSED, COMPRESSED)
    for _ in range(2):
        for text in TEXTS:
            third = len(text) // 3
            meeting.other.send_fragments(text[:third], "", text[third:])
            assert meeting.receive("") == text


@pytest.mark.parametrize("peer_kind", WITH_COMPRESSION, indirect=True, ids=str)
def test_switched_off_and_on_again(meet: Meet) -> None:
    meeting = meet(COMPRESSED, COMPRESSED)
    for enable in (False, True, False):
        meeting.exchange(*TEXTS)
        net.native_ws_set_compression(meeting.id, enable)
        meeting.exchange(*TEXTS)


@pytest.mark.parametrize("peer_kind", WITH_COMPRESSION, indirect=True, ids=str)
def test_a_message_that_inflates_to_too_much(meet: Meet) -> None:
    meeting = meet(COMPRESSED, COMPRESSED)
    net.native_ws_set_max_message_size(meeting.id, 100_000)
    meeting.other.send("x" * 100_000)
    assert meeting.receive("") == "x" * 100_000
    meeting.other.send("x" * 100_001)
    assert meeting.other.closed().code == 1009


@peers_that("ping")
def test_control_frames_are_not_compressed(meet: Meet, peer_kind: Kind) -> None:
    meeting = meet(COMPRESSED, COMPRESSED)
    assert meeting.other.ping(b"aaaaaaaa") == b"aaaaaaaa"
    meeting.exchange(*TEXTS)
    net.native_ws_close_with(meeting.id, 4000, "aaaaaaaa")
    assert meeting.other.closed() == (4000, "aaaaaaaa")

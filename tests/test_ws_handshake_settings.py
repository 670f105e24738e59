"""What may be set before the handshake: headers, subprotocols, origins; and what is E3006."""

from __future__ import annotations

import math

import pytest

from dryad_net import handshake, tls
from dryad_net.errors import ArgumentError
from dryad_net.http_headers import is_token


def test_headers_that_are_fine() -> None:
    given = {
        "Host": "h",
        "Origin": "o",
        "Cookie": "c",
        "Authorization": "a",
        "X-1": " \tü 😀\t",
        "x": "",
        "Y": "\udcff",
    }
    checked = handshake.check_headers(given, "headers")
    assert list(checked) == list(given)
    assert (checked["X-1"], checked["Y"]) == ("ü 😀", "\udcff")
    assert handshake.check_headers({}, "headers") == {}


@pytest.mark.parametrize(
    "headers",
    [
        *[None, 5, "X: y", [("X", "y")], {5: "x"}, {None: "x"}, {"X": 5}, {"X": None}, {"X": b"y"}, {"X": ["y"]}],
        *[{"": "x"}, {" X": "y"}, {"X ": "y"}, {"X:": "y"}, {"X Y": "z"}, {"Ü": "x"}, {"X\r\nY": "z"}, {"X\n": "y"}],
        *[
            {"X": "a\rb"},
            {"X": "a\nb"},
            {"X": "a\r\nY: b"},
            {"X": "a\x00b"},
            {"X": "a\x1fb"},
            {"X": "\x7f"},
            {"X": "\n"},
        ],
        *[
            {"X": "\ud800"},
            {"X": "y" * 9000},
            {f"X-{i}": "y" for i in range(2000)},
            {"X": "ü" * 4200},
            {"X": "1", "x": "2"},
        ],
        *[{"Upgrade": "x"}, {"CONNECTION": "x"}, {"content-length": "0"}, {"Transfer-Encoding": "x"}],
        *[{"Sec-WebSocket-Key": "x"}, {"sec-websocket-protocol": "x"}, {"SEC-WEBSOCKET-ANYTHING": "x"}],
    ],
    ids=lambda headers: repr(headers)[:40],
)
def test_headers_that_are_not(headers: object) -> None:
    with pytest.raises(ArgumentError, match=r"^E3006: headers"):
        handshake.check_headers(headers, "headers")


def test_a_header_that_is_refused_is_not_shown() -> None:
    with pytest.raises(ArgumentError) as caught:
        handshake.check_headers({"Authorization": "s3cret\n"}, "headers")
    assert "s3cret" not in str(caught.value)
    assert "Authorization" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "names"), [("a", ("a",)), ("a,b", ("a", "b")), (" a ,\tb", ("a", "b")), ("soap.v1+x", ("soap.v1+x",))]
)
def test_subprotocols_that_are_fine(given: str, names: tuple[str, ...]) -> None:
    assert handshake.check_subprotocols(given, "protocol") == names
    assert all(map(is_token, names))


@pytest.mark.parametrize(
    "given",
    [
        *[
            None,
            5,
            True,
            b"a",
            ["a"],
            "",
            " ",
            ",",
            "a,",
            ",a",
            "a,,b",
            "a b",
            "a;b",
            "a/b",
            'a"',
            "ü",
            "a\n",
            "a\r\nb",
        ],
        *["a,a", "a, b, a", "a" * 2000, math.nan, "\ud800", "(a)", "a=b"],
    ],
)
def test_subprotocols_that_are_not(given: object) -> None:
    """RFC 6455, 4.1, item 10: tokens, all different."""
    with pytest.raises(ArgumentError, match=r"^E3006: protocol: "):
        handshake.check_subprotocols(given, "protocol")


def test_origins_that_are_fine() -> None:
    given = ["https://A.example:443", "null", "http://b:8080"]
    assert handshake.check_origins(given, "origins") == {"https://a.example", "null", "http://b:8080"}
    assert handshake.check_origins([], "origins") == frozenset()


@pytest.mark.parametrize(
    "given",
    [None, "https://a", {"https://a": 1}, [5], [None], [""], ["a"], ["*"], ["https://a/"], ["https://a%\udcff"]],
)
def test_origins_that_are_not(given: object) -> None:
    with pytest.raises(ArgumentError, match=r"^E3006: origins"):
        handshake.check_origins(given, "origins")


def test_settings_are_copied_apart() -> None:
    first = handshake.Settings({"X": "y"}, ("a",), True, frozenset())
    second = first.copy()
    second.compression, second.headers, second.subprotocols, second.origins = False, None, (), None
    assert (first.compression, first.headers, first.subprotocols, first.origins) == (
        True,
        {"X": "y"},
        ("a",),
        frozenset(),
    )


def test_an_object_that_changes_while_it_is_looked_at() -> None:
    """As by another thread of the script's: what it was at first is taken."""

    class Name(str):
        """A name that has something else added to the object wherever it is looked at."""

        __slots__ = ()
        __hash__ = str.__hash__

        def lower(self) -> str:
            value[f"x-{len(value)}"] = "y"
            return super().lower()

        def __eq__(self, other: object) -> bool:
            value[f"x-{len(value)}"] = "y"
            return super().__eq__(other)

    value: dict[str, object] = {}
    value[Name("x-first")] = value[Name("x-second")] = "y"
    assert list(handshake.check_headers(value, "headers")) == ["x-first", "x-second"]
    value = {}
    value[Name("verify")] = False
    value[Name("ca_file")] = None
    assert tls.check_options(value, "options") == tls.TlsOptions(verify=False)

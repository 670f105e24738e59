"""The modules for Dryad scripts: the text of tcp.dryad, udp.dryad, websocket.dryad and dryad_net.dryad.

    python -m dryad_net.host.modules      writes those of the repository anew

What the language asks for (its interpreter, as of 2025):

* A function runs in the scope of whoever calls it, and an import brings only the names it lists. So
  no function here uses another one, or a constant of its module.
* ``return`` of an array or an object gives a string that describes it. The value of a function's
  last statement comes out as it is, so that is how those are returned.
* A function of C takes an argument without looking at its type, so the typed functions, which have no
  JSON between them and the script, are called for what they surely can take; all else goes through JSON,
  and it is the library that refuses it.
* ``&&`` evaluates both sides, so a check that may throw is made inside ``try``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .. import registry
from ..registry import NativeFunction

FOLDER = Path(__file__).parent
ALIAS = "dryad_net"
# What dryad_net_abi_version() must say.
ABI_VERSION = 1
LIBRARY_NAME = "libdryad_net.dylib" if sys.platform == "darwin" else "libdryad_net.so"
# What each file has of the registry.
FILES = {
    "tcp.dryad": ("tcp",),
    "udp.dryad": ("udp",),
    "websocket.dryad": ("websocket",),
    "dryad_net.dryad": ("tcp", "udp", "websocket"),
}
TITLES = {"tcp": "TCP", "udp": "UDP", "websocket": "WebSocket"}

# What the typed functions of dryad_net.h return, as ffi_call names it.
TYPED = {
    "native_tcp_accept": "i64",
    "native_tcp_accept_blocking": "i64",
    "native_tcp_is_connected": "i32",
    "native_tcp_recv": "string",
    "native_tcp_recv_all": "string",
    "native_tcp_recv_blocking": "string",
    "native_tcp_recv_until": "string",
    "native_tcp_send": "i64",
    "native_ws_accept": "i64",
    "native_ws_is_connected": "i32",
    "native_ws_recv": "string",
    "native_ws_recv_blocking": "string",
    "native_ws_send": "i32",
}
TEXTS = {"data", "delimiter", "message"}
# What the C function gives is not yet what the script gets.
VALUES = {"native_tcp_is_connected": "value == 1", "native_ws_is_connected": "value == 1", "native_ws_send": "null"}

# Functions that give an array or an object.
COMPOUND = {
    "native_net_wait",
    "native_tcp_get_clients",
    "native_tcp_get_local_addr",
    "native_tcp_get_peer_addr",
    "native_tcp_recv_bytes",
    "native_tcp_recv_bytes_blocking",
    "native_udp_get_local_addr",
    "native_udp_get_stats",
    "native_udp_recv",
    "native_udp_recv_blocking",
    "native_udp_recv_bytes",
    "native_udp_recv_from",
    "native_ws_client_info",
    "native_ws_get_clients",
    "native_ws_get_local_addr",
    "native_ws_recv_binary",
    "native_ws_recv_binary_blocking",
}

HEAD = """\
// {title} for Dryad scripts, over the library libdryad_net.
// Made by dryad_net.host.modules from the library's own list of functions: changes belong there.

#<ffi>
#<encode_decode>

let dryad_net_failure = "";
try {{
    ffi_load_library("{library}", "{alias}");
}} catch (e) {{
    // Another of these modules may have loaded it; the next call tells.
    dryad_net_failure = "" + e;
}}
let dryad_net_version = 0;
try {{
    dryad_net_version = ffi_call("{alias}", "dryad_net_abi_version", "i32");
}} catch (e) {{
    dryad_net_version = 0;
}}
if (dryad_net_version != {version}) {{
    throw "E5006 dryad_net: the library was not loaded. " + dryad_net_failure;
}}
"""

THROUGH_JSON = """\
let answer = native_json_decode(ffi_call("{alias}", "dryad_net_call_utf8", "string", "{name}", \
native_json_encode([{arguments}])));
if (answer.ok == false) {{
    throw answer.error;
}}
"""

TYPED_BODY = """\
let typed = false;
let value = null;
try {{
    if ({checks}) {{
        value = ffi_call("{alias}", "{symbol}", "{type}", {arguments});
        typed = true;
    }}
}} catch (e) {{
    typed = false;
}}
if (typed) {{
    let status = ffi_call("{alias}", "dryad_net_status", "i32");
    if (status < 0) {{
        throw ffi_call("{alias}", "dryad_net_error", "string");
    }}
{value}}} else {{
{through_json}    value = answer.value;
}}
return value;
"""


def text(file: str, library: str = LIBRARY_NAME) -> str:
    """One of FILES.

    library: how the script's interpreter is to open the library: its path, or a name that the
    system's loader finds.
    """
    title = ", ".join(TITLES[module] for module in FILES[file])
    head = HEAD.format(title=title, library=_quoted(library), alias=ALIAS, version=ABI_VERSION)
    return head + "".join(_function(each) for module in FILES[file] for each in registry[module].values())


def write(folder: Path, library: str = LIBRARY_NAME) -> None:
    """Write all of them to a folder."""
    for file in FILES:
        (folder / file).write_text(text(file, library), encoding="utf-8", newline="\n")


def _function(native: NativeFunction) -> str:
    summary = (native.call.__doc__ or "").strip().partition("\n")[0]
    body = _typed(native) if native.name in TYPED else _untyped(native)
    return f"\n// {summary}\nexport function {native.name}({', '.join(native.parameters)}) {{\n{_indented(body)}}}\n"


def _untyped(native: NativeFunction) -> str:
    return _through_json(native) + ("answer.value;\n" if native.name in COMPOUND else "return answer.value;\n")


def _typed(native: NativeFunction) -> str:
    value = VALUES.get(native.name)
    line = "if (status == 0) {\n    value = null;\n}\n" if value is None else f"value = {value};\n"
    return TYPED_BODY.format(
        alias=ALIAS,
        symbol=native.name.replace("native_", "dryad_net_"),
        type=TYPED[native.name],
        arguments=", ".join(native.parameters),
        checks=" && ".join(map(_check, native.parameters)),
        value=_indented(line),
        through_json=_indented(_through_json(native)),
    )


def _check(parameter: str) -> str:
    """True for what C may be given, false or an exception for all else."""
    if parameter in TEXTS:
        return f'"" + {parameter} == {parameter}'
    return f"{parameter} % 1 == 0 && {parameter} >= 0 && {parameter} < 4294967296"


def _through_json(native: NativeFunction) -> str:
    return THROUGH_JSON.format(alias=ALIAS, name=native.name, arguments=", ".join(native.parameters))


def _indented(lines: str) -> str:
    return "".join(f"    {line}" for line in lines.splitlines(keepends=True))


def _quoted(path: str) -> str:
    return path.replace("\\", "\\\\").replace('"', '\\"')


if __name__ == "__main__":
    write(FOLDER)

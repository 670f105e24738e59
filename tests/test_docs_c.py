"""The C samples of docs/host.md, compiled, linked with the library, and run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from textwrap import indent

from docs_support import DOCS, blocks
from host_support import SECONDS, compile_c, environment, library
from support import SOON, port_of

import dryad_net as net
from dryad_net.host import locations

AROUND = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "dryad_net.h"

int main(int count, char **arguments)
{
    char where[64];
    const char *line;
    uintptr_t client;
    (void)count;
    BY_NAME
    snprintf(where, sizeof where, "[\"127.0.0.1\", %s]", arguments[1]);
    client = (uintptr_t)strtoull(strstr(dryad_net_call("native_tcp_connect", where), "value\":") + 7, NULL, 10);
    TYPED
    return dryad_net_status() != DRYAD_NET_NULL;
}
"""


def test_both_ways_to_call(tmp_path: Path, server: int) -> None:
    by_name, typed = blocks((DOCS / "host.md").read_text(encoding="utf-8"), "c")
    call, comment = by_name.strip().split("\n")
    source = tmp_path / "sample.c"
    source.write_text(AROUND.replace("BY_NAME", call).replace("    TYPED", indent(typed, " " * 4)))
    folder = library().parent
    program = compile_c(
        source, tmp_path / "sample", f"-I{locations.header().parent}", str(library()), f"-Wl,-rpath,{folder}"
    )
    started = subprocess.Popen(
        [str(program), str(port_of(server))],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        client = net.native_tcp_accept_blocking(server, int(SECONDS * 1000))
        net.native_tcp_send(client, "one\ntwo\n")
        assert [net.native_tcp_recv_until(client, "\n") for _ in range(2)] == ["one\n", "two\n"]
        net.native_tcp_close(client)
        printed, errors = started.communicate(timeout=SOON)
    finally:
        started.kill()
        started.wait()
    assert (started.returncode, errors) == (0, "")
    assert f"/* {printed.strip()} */" == comment

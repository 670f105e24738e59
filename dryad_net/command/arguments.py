"""What can be typed: the argument parser."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any, TypeAlias

from ..version import __version__
from . import connect, demo, info, paths, serve

CONNECT_USAGE = """dryad-net connect tcp HOST PORT
       dryad-net connect udp HOST PORT
       dryad-net connect URL [--header 'NAME: VALUE'] [--subprotocol NAME] [--compression]
                             [--ca FILE] [--insecure]"""
CONNECT_DESCRIPTION = """Send what is typed, print what arrives.
Over UDP a line is a datagram; to a URL (ws:// or wss://) it is a WebSocket text message."""


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; what it returns has ``run``, which takes the options."""
    top = argparse.ArgumentParser(prog="dryad-net", description="TCP, UDP and WebSocket as plain function calls.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("info", help="what this installation is and runs on")
    command.set_defaults(run=lambda options: info.run())

    text = "where the files for hosts are that are not Python"
    command = commands.add_parser("paths", help=text)
    command.add_argument("what", nargs="?", choices=paths.WHAT, help="one of them, without its name")
    command.set_defaults(run=lambda options: paths.run(options.what))

    command = commands.add_parser("demo", help="the library at work over loopback, each call checked")
    command.set_defaults(run=lambda options: demo.run())

    _add_serve(commands)
    _add_connect(commands)
    return top


# argparse has no public name for what add_subparsers() returns.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _add_serve(commands: _Commands) -> None:
    text = "run a server until Ctrl-C"
    description = "Run a server until Ctrl-C: one thread, as many clients as there are."
    command = commands.add_parser("serve", help=text, description=description)
    protocols = command.add_subparsers(title="protocols", metavar="PROTOCOL", required=True)

    command = protocols.add_parser("tcp", help="a TCP server that sends everything back")
    command.add_argument("--chat", action="store_true", help="send every line to all clients instead")
    _add_server_address(command)
    command.set_defaults(run=lambda options: serve.tcp(options.host, options.port, options.chat))

    command = protocols.add_parser("udp", help="a UDP socket that sends every datagram back")
    _add_server_address(command)
    command.set_defaults(run=lambda options: serve.udp(options.host, options.port))

    command = protocols.add_parser("ws", help="a WebSocket server that sends every message back")
    command.add_argument("--chat", action="store_true", help="send every message to all clients instead")
    command.add_argument("--compression", action="store_true", help="accept permessage-deflate")
    command.add_argument("--cert", metavar="FILE", help="serve wss:// with this certificate and its chain (PEM)")
    command.add_argument("--key", metavar="FILE", help="the certificate's private key (PEM)")
    _add_server_address(command)
    command.set_defaults(run=partial(_serve_ws, command))


def _add_server_address(command: argparse.ArgumentParser) -> None:
    command.add_argument("port", type=int, metavar="PORT", help="0 picks a free one, which is printed")
    command.add_argument("--host", metavar="IP", help="one address of this machine (default: every interface)")


def _serve_ws(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if (options.cert is None) != (options.key is None):
        command.error("--cert and --key go together")
    if options.cert is not None and options.host is not None:
        command.error("--cert is for every interface, without --host")
    certificate = None if options.cert is None else (options.cert, options.key)
    return serve.ws(options.host, options.port, options.chat, options.compression, certificate)


def _add_connect(commands: _Commands) -> None:
    command = commands.add_parser(
        "connect",
        help="send what is typed, print what arrives",
        usage=CONNECT_USAGE,
        description=CONNECT_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("peer", nargs="+", metavar="PEER", help="tcp HOST PORT, udp HOST PORT, or a URL")
    of_url = command.add_argument_group("with a URL")
    of_url.add_argument(
        "--header", action="append", type=_header, metavar="'NAME: VALUE'", help="a header of the request, also several"
    )
    of_url.add_argument("--subprotocol", metavar="NAME", help="a subprotocol to ask for, or several: a,b")
    of_url.add_argument("--compression", action="store_true", help="offer permessage-deflate")
    of_url.add_argument("--ca", metavar="FILE", help="for wss://: trust these certificates (PEM), not the system's")
    of_url.add_argument("--insecure", action="store_true", help="for wss://: accept any certificate")
    command.set_defaults(run=partial(_connect, command))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"no colon in {text!r}")
    return name.strip(), value.strip()


def _connect(command: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    protocol, *rest = options.peer
    if "://" in protocol:
        if rest:
            command.error(f"nothing may follow the URL: {' '.join(rest)}")
        return _connect_url(command, protocol, options)
    if protocol not in ("tcp", "udp"):
        command.error(f"neither tcp, udp nor a URL: {protocol}")
    if len(rest) != 2:
        command.error(f"{protocol} takes HOST and PORT")
    if options.header or options.subprotocol or options.compression or options.ca or options.insecure:
        command.error(f"an option that is for URLs, with {protocol}")
    host, port = rest
    if not port.isdecimal():
        command.error(f"PORT must be a number: {port}")
    return (connect.tcp if protocol == "tcp" else connect.udp)(host, int(port))


def _connect_url(command: argparse.ArgumentParser, url: str, options: argparse.Namespace) -> int:
    headers = dict(options.header or ())
    if len(headers) < len(options.header or ()):
        command.error("the same header twice")
    tls: dict[str, Any] = {"ca_file": options.ca} if options.ca is not None else {}
    if options.insecure:
        tls["verify"] = False
    return connect.ws(url, headers, options.subprotocol, options.compression, tls)

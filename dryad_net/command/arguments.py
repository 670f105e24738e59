"""What can be typed: the argument parser."""

from __future__ import annotations

import argparse
from typing import TypeAlias

from ..version import __version__
from . import connect, demo, info, serve


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; what it returns has ``run``, which takes the options."""
    top = argparse.ArgumentParser(prog="dryad-net", description="TCP and UDP as plain function calls.")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    command = commands.add_parser("info", help="what this installation is and runs on")
    command.set_defaults(run=lambda options: info.run())

    command = commands.add_parser("demo", help="the library at work over loopback, each call checked")
    command.set_defaults(run=lambda options: demo.run())

    protocols = _protocols(commands, "serve", "run a server until Ctrl-C")
    command = protocols.add_parser("tcp", help="a TCP server that sends everything back")
    command.add_argument("--chat", action="store_true", help="send every line to all clients instead")
    _add_server_address(command)
    command.set_defaults(run=lambda options: serve.tcp(options.host, options.port, options.chat))
    command = protocols.add_parser("udp", help="a UDP socket that sends every datagram back")
    _add_server_address(command)
    command.set_defaults(run=lambda options: serve.udp(options.host, options.port))

    protocols = _protocols(commands, "connect", "send what is typed, print what arrives")
    command = protocols.add_parser("tcp", help="as a TCP client")
    _add_peer_address(command)
    command.set_defaults(run=lambda options: connect.tcp(options.host, options.port))
    command = protocols.add_parser("udp", help="from a connected UDP socket, a line a datagram")
    _add_peer_address(command)
    command.set_defaults(run=lambda options: connect.udp(options.host, options.port))
    return top


# argparse has no public name for what add_subparsers() returns.
_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _protocols(commands: _Commands, name: str, text: str) -> _Commands:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    return command.add_subparsers(title="protocols", metavar="PROTOCOL", required=True)


def _add_server_address(command: argparse.ArgumentParser) -> None:
    command.add_argument("port", type=int, metavar="PORT", help="0 picks a free one, which is printed")
    command.add_argument("--host", metavar="IP", help="one address of this machine (default: every interface)")


def _add_peer_address(command: argparse.ArgumentParser) -> None:
    command.add_argument("host", metavar="HOST", help="a name or an IP address")
    command.add_argument("port", type=int, metavar="PORT")

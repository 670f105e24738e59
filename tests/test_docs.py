"""What the documentation shows works as it stands there, and names what there is."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import host_support
import pytest
from command_support import ROOT, SECONDS, environment
from docs_support import DOCS, PAGES, blocks, name_of, promised
from support import NOTHING_MISSING

import dryad_net as net
from dryad_net import connect, handshake_settings, service, stream, url, websocket_server
from dryad_net._pure import datagram, inbound, message, reader, receiver

FUNCTIONS = {name: entry for module in net.registry.values() for name, entry in module.items()}
WITH_PYTHON = [page for page in PAGES if blocks(page.read_text(encoding="utf-8"), "python")]
WITH_DRYAD = [page for page in PAGES if blocks(page.read_text(encoding="utf-8"), "dryad")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_python_samples_work(page: Path, tmp_path: Path) -> None:
    """The samples of a page run one after the other, as its reader would type them."""
    text = page.read_text(encoding="utf-8")
    for command in blocks(text, "sh"):
        if command.startswith("openssl "):
            if shutil.which("openssl") is None and not NOTHING_MISSING:
                pytest.skip("openssl is not installed")
            words = shlex.split(command.replace("\\\n", ""))  # not by a shell: Windows has none
            subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=SECONDS, check=True)
    code = "\n".join(blocks(text, "python"))
    result = subprocess.run(
        [sys.executable, "-I", "-X", "utf8", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=SECONDS,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    printed = [line for line in result.stdout.splitlines() if line]
    assert printed == promised(code)
    assert len(printed) == code.count("print(")


@pytest.mark.parametrize("page", WITH_DRYAD, ids=name_of)
def test_dryad_samples_name_functions_of_the_modules_they_load(page: Path) -> None:
    for code in blocks(page.read_text(encoding="utf-8"), "dryad"):
        loaded = set(re.findall(r"^#<(\w+)>$", code, re.MULTILINE))
        # A script of a host's loads a module by importing it.
        imports = re.findall(r'^import (\{[^}]*\}) from "\S*/(\w+)\.dryad";$', code, re.MULTILINE)
        loaded |= {module for _names, module in imports}
        code = re.sub(r"^import [^;]*;\n", "", code, flags=re.MULTILINE)
        for names, _module in imports:
            assert re.findall(r"\w+", names) == sorted(set(re.findall(r"\bnative_\w+(?=\()", code)))
        calls = re.findall(r"\b(native_\w+)\(((?:[^()]|\([^()]*\))*)\)", code)
        assert len(calls) == code.count("native_") - code.count("// E")
        for name, arguments in calls:
            assert FUNCTIONS[name].module in loaded
            flat = re.sub(r"\([^()]*\)|\[[^\[\]]*\]|\"[^\"]*\"", "x", arguments)
            assert (len(flat.split(",")) if flat else 0) == FUNCTIONS[name].arity, (name, arguments)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=name_of)
def test_every_function_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"\bnative_\w+\b(?!\*)", page.read_text(encoding="utf-8").replace("native_net_wait", "")))
    assert {name for name in named if not name.endswith("_")} <= set(FUNCTIONS)


@pytest.mark.parametrize("folder", ["reference", "pt"])
def test_the_reference_has_every_function_once(folder: str) -> None:
    from listing import functions_between

    text = "".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / folder).glob("*.md")))
    listed: list[str] = []
    for first, last in re.findall(r"^<!-- functions: (\w+) to (\w+) -->$", text, re.MULTILINE):
        listed += [function.name for function in functions_between(first, last)]
    assert sorted(listed) == sorted(FUNCTIONS)


def test_every_page_can_be_reached_from_the_first() -> None:
    assert "*" in (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    for folder in ("guides", "reference", "pt"):
        index = (DOCS / folder / "index.md").read_text(encoding="utf-8").splitlines()
        assert {page.stem for page in (DOCS / folder).glob("*.md")} - {"index"} <= set(index)


def test_the_version_is_said_in_one_place() -> None:
    sources = [ROOT / "pyproject.toml", ROOT / "setup.py", *(ROOT / "dryad_net").rglob("*.py"), *DOCS.rglob("*.py")]
    sources += [path for path in (ROOT / "src_pyx").iterdir() if path.suffix in (".pyx", ".pxd", ".h")]
    saying = [path for path in sources if f'"{net.__version__}"' in path.read_text(encoding="utf-8")]
    assert saying == [ROOT / "dryad_net" / "version.py"]


def test_the_versions_of_python_are_those_that_wheels_are_for() -> None:
    configuration = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    versions = tuple(f"3.{minor}" for minor in re.findall(r'"cp3(\d+)-\*"', configuration))
    assert tuple(re.findall(r'"Programming Language :: Python :: (3\.\d+)"', configuration)) == versions
    assert versions == host_support.VERSIONS
    host = ROOT / "src_pyx" / "host"
    for path in (DOCS / "host.md", host / "runtime.c", host / "python_api.h", ROOT / "CHANGELOG.md"):
        told = re.findall(r"3\.\d+ to 3\.\d+", path.read_text(encoding="utf-8"))
        assert set(told) == {f"{versions[0]} to {versions[-1]}"}, path


def test_the_changes_are_in_sections() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.split(r"^## ", changes, flags=re.MULTILINE)[1:]
    assert versions[0].startswith(f"{net.__version__} ")
    order = ["Backwards-incompatible", "New", "Improvements", "Fixes"]
    for version in versions:
        sections = re.findall(r"^### (.*)$", version, re.MULTILINE)
        assert sections == [section for section in order if section in sections]


def in_words(size: int) -> str:
    """A limit as the pages write it."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size:,}"


@pytest.mark.parametrize("page", ["reference/rules.md", "pt/regras.md"])
def test_the_limits_are_those_of_the_code(page: str) -> None:
    table = re.split(r"^## Limit\w+$", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("|")][2:]
    told = " | ".join(row[1] for row in rows).replace("65.507", "65,507").replace("1.024", "1,024")
    for limit in (
        *(in_words(size) for size in (reader.BLOCK, receiver.UNTIL_LIMIT, datagram.LARGEST_PAYLOAD)),
        *(in_words(size) for size in (stream.QUEUE_LIMIT, inbound.UNREAD_LIMIT)),
        f"{in_words(message.DEFAULT_FRAME_SIZE)} (`native_ws_set_max_frame_size`)",
        f"{in_words(message.DEFAULT_MESSAGE_SIZE)} (`native_ws_set_max_message_size`)",
        in_words(handshake_settings.HEAD_LIMIT),
        f"{websocket_server.HANDSHAKE_SECONDS:g} s",
        f"{websocket_server.READY_LIMIT:,}",
        "8 KiB, 1 KiB, 6 KiB",
        f"{connect.CONNECT_SECONDS:g} s",
        f"{service.CLOSE_SECONDS:g} s",
    ):
        assert limit in told
    longest = (handshake_settings._LONGEST_HEADERS, handshake_settings._LONGEST_SUBPROTOCOLS, url._LONGEST)
    assert ", ".join(map(in_words, longest)) == "8 KiB, 1 KiB, 6 KiB"

"""The compiled half's C for the systems that are not here: the BSDs, macOS, musl, 32 bits, big-endian.

Its headers are compiled, warnings being errors, with Linux's own macros taken away and kqueue(2) from
portability/kqueue, which makes it of epoll(7). `.ci/long kqueue` runs the whole suite over a build like that.
Masking is run on a big-endian processor of 32 bits where there is a compiler and an emulator for one.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import NOTHING_MISSING

TESTS = Path(__file__).resolve().parent
SOURCES = TESTS.parent / "src_pyx"
STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Wno-unused-function", "-Werror", f"-I{SOURCES}"]
KQUEUE = ["-U__linux__", f"-isystem{TESTS}/portability/kqueue"]
# A name that is used after the pragma is an error: what the BSDs or macOS do not have.
HEADERS = ("arpa/inet", "errno", "fcntl", "net/if", "netinet/in", "poll", "stdint", "string", "sys/event", "sys/ioctl")
HEADERS += ("sys/socket", "sys/time", "sys/types", "sys/uio", "time", "unistd")
LACKING = "accept4 recvmmsg sendmmsg eventfd epoll_create1 epoll_ctl epoll_wait pipe2"
BSD = "".join(f"#include <{name}.h>\n" for name in HEADERS) + f"#pragma GCC poison {LACKING}\n"
MACOS = f"{BSD}#undef MSG_NOSIGNAL\n#define SO_NOSIGPIPE 0x1022\n"
HEADERS = "".join(f"#include <{name}.h>\n" for name in ("poller", "idle", "mask", "scan", "transcode"))
USE = "#define _GNU_SOURCE\n{before}" + HEADERS + "int main(void) {{ return 0; }}\n"
HOST = sorted((SOURCES / "host").glob("*.c"))
HOST_FLAGS = ["-std=c11", "-fvisibility=hidden", "-O2", "-Wall", "-Wextra", "-Werror"]
BIG_ENDIAN = ("powerpc-linux-gnu-gcc", "qemu-ppc")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the other systems compile it for real")


def compiler(name: str) -> str:
    """The path of a compiler or emulator; without it the test is skipped, or fails where all are to be."""
    found = shutil.which(name)
    if found is None and NOTHING_MISSING:
        pytest.fail(f"{name} is not installed")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def compile_(folder: Path, text: str, *options: str, command: str = "gcc") -> Path:
    """Compile and link a program, warnings being errors."""
    source = folder / "program.c"
    source.write_text(text)
    program = folder / "program"
    done = subprocess.run(
        [compiler(command), *STRICT, *options, "-o", str(program), str(source)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize("before", [BSD, MACOS], ids=["a BSD", "macOS"])
def test_without_what_linux_alone_has(tmp_path: Path, before: str) -> None:
    compile_(tmp_path, USE.format(before=before), *KQUEUE)


@pytest.mark.parametrize("command", ["gcc", "musl-gcc", BIG_ENDIAN[0]])
def test_strictly(tmp_path: Path, command: str) -> None:
    """glibc, musl, and 32 bits with the bytes the other way round."""
    compile_(tmp_path, USE.format(before=""), command=command)


@pytest.mark.parametrize("command", ["gcc", "musl-gcc", BIG_ENDIAN[0]])
@pytest.mark.parametrize("source", HOST, ids=lambda source: source.name)
def test_the_library_for_hosts(source: Path, command: str) -> None:
    done = subprocess.run(
        [compiler(command), "-fsyntax-only", *HOST_FLAGS, str(source)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None and not NOTHING_MISSING, reason="ziglang is not installed"
)
@pytest.mark.parametrize("system", ["aarch64-macos", "x86_64-freebsd"])
@pytest.mark.parametrize("source", [None, *HOST], ids=lambda source: source.name if source else "the headers")
def test_with_the_headers_of_other_systems(tmp_path: Path, source: Path | None, system: str) -> None:
    """pip install ziglang brings a compiler that has them."""
    options = HOST_FLAGS if source else [option for option in STRICT if option != "-Wconversion"]  # clang's is stricter
    if source is None:
        source = tmp_path / "program.c"
        source.write_text("#include <sys/types.h>\n" + USE.format(before=""))
    done = subprocess.run(
        [sys.executable, "-m", "ziglang", "cc", "-target", system, "-c", *options, str(source), "-o", "object.o"],
        env={**os.environ, "ZIG_LOCAL_CACHE_DIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_nothing_asks_for_posix_alone() -> None:
    """macOS and the BSDs then hide everything else, such as RTLD_NODELETE; glibc and musl do not."""
    for path in (*SOURCES.rglob("*.h"), *HOST):
        assert "_POSIX_C_SOURCE" not in path.read_text()


def output_of(folder: Path, name: str, system: str) -> str:
    """What a program of portability/ prints here, or on a big-endian processor of 32 bits."""
    text = (TESTS / "portability" / name).read_text()
    if system == "this":
        command = [str(compile_(folder, text))]
    else:
        emulator = compiler(BIG_ENDIAN[1])
        command = [emulator, str(compile_(folder, text, "-static", command=BIG_ENDIAN[0]))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("system", ["this", "big-endian, 32 bits"])
def test_masking_byte_by_byte(tmp_path: Path, system: str) -> None:
    order = sys.byteorder if system == "this" else "big"
    assert output_of(tmp_path, "mask.c", system) == f"{order}: 192640 right\n"


@pytest.mark.parametrize("system", ["this", "big-endian, 32 bits"])
def test_passes_over_bytes(tmp_path: Path, system: str) -> None:
    assert output_of(tmp_path, "scan.c", system) == "681765 right\n"


def test_programs_can_be_linked_with_the_c_library_on_macos() -> None:
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed")
    script = (
        "import runpy, setuptools; setuptools.setup = lambda **options: None; "
        "print(*runpy.run_path('setup.py')['linking_a_library'](['cc', '-bundle', '-undefined', 'dynamic_lookup']))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", script],
        cwd=TESTS.parent,
        env={**os.environ, "DRYAD_NET_BUILD": "pure"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout == "cc -dynamiclib -install_name @rpath/libdryad_net.dylib -undefined dynamic_lookup\n"

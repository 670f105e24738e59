"""A machine that is no help: signals by the thousand, clocks that jump; forks, closes and exits at any moment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support import finish, preloaded, run_script, script

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals, fork, and exit statuses")

# Friends over each protocol, and a conversation with each that takes every kind of call.
PREPARE = """
import errno, os, random, signal, socket, sys, threading, time
import dryad_net as net
tcp, web = net.native_tcp_listen(0), net.native_ws_listen(0)
tcp_port = net.native_tcp_get_local_addr(tcp)["port"]
url = f"ws://127.0.0.1:{net.native_ws_get_local_addr(web)['port']}/"
SOON = 20000

def tcp_friends():
    own = net.native_tcp_connect("127.0.0.1", tcp_port)
    return own, net.native_tcp_accept_blocking(tcp, SOON)

def ws_friends():
    own = net.native_ws_connect(url)
    net.native_ws_set_timeout(own, SOON)
    assert net.native_ws_is_connected(own)
    assert net.native_net_wait([web], SOON) == [web]
    return own, net.native_ws_accept(web)

def read(identifier, size):
    got = b""
    while len(got) < size:
        part = net.native_tcp_recv_bytes_blocking(identifier, size - len(got), SOON)
        assert part, (len(got), size)
        got += part
    return got

def in_thread(function, *args):
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(function(*args)))
    thread.start()
    def result():
        thread.join()
        return outcome[0]
    return result

def talk_tcp():
    own, client = tcp_friends()
    data = bytes(range(256)) * 20000
    received = in_thread(read, client, len(data))
    assert net.native_tcp_send(own, data) == len(data)
    assert received() == data
    net.native_tcp_send(client, "one\\ntwo\\n")
    assert [net.native_tcp_recv_until(own, "\\n") for _ in range(2)] == ["one\\n", "two\\n"]
    assert net.native_net_wait([own, client], 50) == []
    assert net.native_tcp_accept_blocking(tcp, 20) is None
    net.native_tcp_close(own)
    assert net.native_tcp_recv_blocking(client, 1, SOON) is None
    net.native_tcp_close(client)

def talk_ws():
    own, client = ws_friends()
    data = bytes(range(256)) * 5000
    received = in_thread(net.native_ws_recv_binary_blocking, client, SOON)
    net.native_ws_send_binary(own, data)
    assert received() == data
    for number in range(20):
        net.native_ws_send(client, f"message {number}")
    assert [net.native_ws_recv_blocking(own, SOON) for _ in range(20)] == [f"message {n}" for n in range(20)]
    assert net.native_net_wait([own, client], 50) == []
    net.native_ws_close(own)
    assert net.native_ws_recv_blocking(client, SOON) is None
    net.native_ws_close(client)

def talk_udp():
    one, two = net.native_udp_socket(), net.native_udp_socket()
    net.native_udp_bind_addr(one, "127.0.0.1", 0)
    net.native_udp_connect(two, "127.0.0.1", net.native_udp_get_local_addr(one)["port"])
    for number in range(50):
        net.native_udp_send_connected(two, f"datagram {number}")
        assert net.native_udp_recv_blocking(one, SOON)["data"] == f"datagram {number}"
    assert net.native_udp_recv_blocking(one, 30) is None
    net.native_udp_close(one)
    net.native_udp_close(two)
"""


def test_signals_a_thousand_times_a_second() -> None:
    """EINTR wherever there can be one, and a handler that runs each time: nothing ends early, and nothing is lost."""
    run_script(
        PREPARE
        + """
count = 0
def handle(*_):
    global count
    count += 1
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for _ in range(3):
    talk_tcp(); talk_ws(); talk_udp()
own, client = tcp_friends()
for wait in (lambda: net.native_tcp_recv_blocking(own, 1, 100), lambda: net.native_net_wait([own, web], 100)):
    before, begun = count, time.monotonic()
    assert not wait()
    assert time.monotonic() - begun >= 0.099
    assert count > before
signal.setitimer(signal.ITIMER_REAL, 0)
""",
        seconds=60,
    )


# CLOCK_REALTIME as it would be if somebody set the clock, an hour this way or that, before every look at it.
JUMPING_CLOCK = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static int looks;
static long jump(void) { return (++looks % 3 - 1) * 3600L; }
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME)
        now->tv_sec += jump();
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec spec;
    (void)zone;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &spec);
    now->tv_sec = spec.tv_sec + jump();
    now->tv_usec = spec.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *to)
{
    struct timespec spec;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &spec);
    spec.tv_sec += jump();
    if (to)
        *to = spec.tv_sec;
    return spec.tv_sec;
}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD and Linux's system calls")
def test_clocks_that_jump(tmp_path: Path) -> None:
    """Deadlines are the monotonic clock's; only connected_at is the calendar's."""
    source = tmp_path / "clock.c"
    source.write_text(JUMPING_CLOCK)
    text = (
        PREPARE
        + """
assert len({int(time.time()) // 1800 for _ in range(6)}) > 1  # it does jump
begun = time.monotonic()
talk_tcp(); talk_ws(); talk_udp()
own, client = ws_friends()
for wait in (lambda: net.native_ws_recv_blocking(own, 200), lambda: net.native_net_wait([own], 200)):
    at = time.monotonic()
    assert not wait()
    assert 0.199 <= time.monotonic() - at < 5
net.native_ws_set_keepalive(client, True)
time.sleep(0.3)
net.native_ws_send(client, "still here")
assert net.native_ws_recv_blocking(own, SOON) == "still here"
assert abs(net.native_ws_client_info(own)["connected_at"] - time.time()) < 7300
assert time.monotonic() - begun < 15
"""
    )
    assert finish(script(text, environment={"LD_PRELOAD": preloaded(source, tmp_path)}), 60) == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_in_the_middle() -> None:
    """While others send and receive and the background works: children start empty, and nobody loses anything."""
    run_script(
        PREPARE
        + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, from Python 3.12 on
running = True
failures = []
talks = 0
def go_on(talk):
    global talks
    try:
        while running:
            talk()
            talks += 1
    except BaseException as error:
        failures.append(repr(error))
        raise
threads = [threading.Thread(target=go_on, args=(talk_udp,)) for _ in range(2)]
pairs = [tcp_friends(), ws_friends()]
data = bytes(range(256)) * 4096
def flood_tcp():
    received = in_thread(read, pairs[0][1], len(data))
    assert net.native_tcp_send(pairs[0][0], data) == len(data)
    assert received() == data
def flood_ws():
    received = in_thread(net.native_ws_recv_binary_blocking, pairs[1][1], SOON)
    net.native_ws_send_binary(pairs[1][0], data)
    assert received() == data
threads += [threading.Thread(target=go_on, args=(talk,)) for talk in (flood_tcp, flood_ws)]
for thread in threads:
    thread.start()
for number in range(25):
    time.sleep(random.random() * 0.02)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            try:
                net.native_tcp_recv(pairs[0][0], 1)
            except net.IdError:
                server = net.native_tcp_listen(0)
                own = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(server)["port"])
                client = net.native_tcp_accept_blocking(server, SOON)
                net.native_tcp_broadcast(server, bytes(1000000))
                net.native_tcp_close(client)
                assert len(read(own, 1000000)) == 1000000
                status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0, number
running = False
for thread in threads:
    thread.join()
assert not failures and talks > 4, (failures, talks)
""",
        seconds=90,
    )


def test_threads_that_close_what_others_use() -> None:
    """Four threads call anything on any ID, also on closed ones: a result or an error of the library's, in time."""
    run_script(
        PREPARE
        + """
rng = random.Random(7)
ids = [tcp, web]
def fresh():
    own, client = rng.choice((tcp_friends_now, ws_friends_now, udp_now))()
    ids.extend(each for each in (own, client) if each is not None)
def tcp_friends_now():
    return net.native_tcp_connect("127.0.0.1", tcp_port), net.native_tcp_accept(tcp)
def ws_friends_now():
    own = net.native_ws_connect(url)
    net.native_ws_set_timeout(own, 50)
    return own, net.native_ws_accept(web)
def udp_now():
    return net.native_udp_socket(), None
CALLS = [
    (net.native_tcp_send, b"x" * 30000), (net.native_tcp_recv, 100), (net.native_tcp_recv_blocking, 10, 5),
    (net.native_tcp_recv_all,), (net.native_tcp_is_connected,), (net.native_tcp_set_timeout, 20),
    (net.native_tcp_close,),
    (net.native_tcp_broadcast, b"y" * 50000), (net.native_tcp_get_clients,), (net.native_tcp_accept_blocking, 5),
    (net.native_tcp_kick_client,), (net.native_ws_send, "m" * 20000), (net.native_ws_send_binary, b"b" * 100),
    (net.native_ws_recv,), (net.native_ws_recv_blocking, 5), (net.native_ws_recv_binary,), (net.native_ws_ping,),
    (net.native_ws_is_connected,), (net.native_ws_get_state,), (net.native_ws_client_info,), (net.native_ws_close,),
    (net.native_ws_broadcast, "z" * 3000), (net.native_ws_get_clients,), (net.native_ws_accept,),
    (net.native_ws_kick_client,), (net.native_udp_recv_blocking, 3), (net.native_udp_send, b"d", "127.0.0.1", 9),
    (net.native_udp_close,),
]
end = time.monotonic() + 2
failures = []
counts = {}
def hammer(seed):
    mine = random.Random(seed)
    while time.monotonic() < end:
        try:
            if mine.random() < 0.03:
                fresh()
                continue
            if mine.random() < 0.05:
                net.native_net_wait(mine.sample(ids, min(5, len(ids))), 3)
                continue
            function, *args = mine.choice(CALLS)
            if function.__name__.endswith(("_close", "_kick_client")) and mine.random() < 0.8:
                continue
            begun = time.monotonic()
            function(mine.choice(ids[:2] + ids[-30:]), *args)
            assert time.monotonic() - begun < 10, function
        except net.DryadNetError as error:
            counts[error.code] = counts.get(error.code, 0) + 1
        except BaseException as error:
            import traceback
            failures.append(traceback.format_exc())
            raise
threads = [threading.Thread(target=hammer, args=(seed,)) for seed in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures[0]
assert counts.get("E3029", 0) > 10, counts
net.native_tcp_stop_server(tcp)
net.native_ws_stop_server(web)
tcp, web = net.native_tcp_listen(0), net.native_ws_listen(0)
tcp_port = net.native_tcp_get_local_addr(tcp)["port"]
url = f"ws://127.0.0.1:{net.native_ws_get_local_addr(web)['port']}/"
talk_tcp(); talk_ws(); talk_udp()
""",
        seconds=60,
    )


EXITING = """
moment = float(sys.argv[1])
stopping = False
def keep(talk, once=False):
    try:
        talk()
        while not once:
            talk()
    except Exception as error:
        # From Python 3.12 on, the exit lets no thread start any more.
        if not stopping and "interpreter shutdown" not in str(error):
            raise
for talk in (talk_tcp, talk_ws, talk_udp):
    threading.Thread(target=keep, args=(talk,), daemon=True).start()
other = net.native_tcp_listen(0)  # not what the threads talk over: they would get it too
slow = net.native_tcp_connect("127.0.0.1", net.native_tcp_get_local_addr(other)["port"])
assert net.native_tcp_accept_blocking(other, SOON)
assert net.native_tcp_broadcast(other, bytes(1 << 20)) == 1
time.sleep(moment)
"""
# The threads that receive for others must not keep the interpreter, nor complain when what they use is closed.
DAEMONS = PREPARE.replace(
    "threading.Thread(target=lambda: outcome.append(function(*args)))",
    "threading.Thread(daemon=True, target=keep, args=(lambda: outcome.append(function(*args)), True))",
)
assert DAEMONS != PREPARE


@pytest.mark.parametrize(
    "way", ["", "sys.exit()", "stopping = True; net.native_tcp_stop_server(tcp); net.native_ws_stop_server(web)"]
)
def test_exit_at_any_moment(way: str) -> None:
    """Status 0, nothing on stderr, and within seconds, whatever threads and the background are doing."""
    children = [script(DAEMONS + EXITING + way, number * 0.013) for number in range(4)]
    for child in children:
        finish(child, 20)

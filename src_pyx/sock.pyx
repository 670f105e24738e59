"""One descriptor: who owns it, who waits on it, and the system calls that every kind of socket shares.

Waiting gives up the GIL. Meanwhile other threads may call anything on the same object; begin_close()
wakes those who wait, and the descriptor itself is closed by whoever leaves it last, so that its
number is never reused under a thread that is still inside a system call.
"""

from _socket import socket as plain_socket

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t, uint64_t

from .deadline cimport deadline_after, one_wait
from .posix cimport (
    EAGAIN, ECONNABORTED, EINTR, EWOULDBLOCK, NO_DEADLINE, POLLIN, SHUT_RDWR, SHUT_WR,
    dryad_accept, dryad_address_text, dryad_close, dryad_get_option, dryad_getpeername, dryad_getsockname,
    dryad_listen, dryad_now, dryad_poll, dryad_prepare, dryad_set_blocking, dryad_set_linger, dryad_set_option,
    dryad_set_recv_timeout, dryad_unacknowledged, dryad_wake, dryad_wake_clear, dryad_wake_close, dryad_wake_open,
    pollfd, shutdown, sockaddr_storage, socklen_t,
)

cdef enum:
    # How often a waiter looks for itself when no descriptor was left to wake it with.
    UNWAKABLE_SLICE_MS = 50
    # A script that waits on many sockets, does something, and waits again, has not gone away meanwhile.
    ATTENDED_NS = 100000000
    ADDRESS_TEXT = 128  # INET6_ADDRSTRLEN (46), a percent sign and an interface's name


cdef object os_error(Py_ssize_t failed):
    """A system call's -errno as an OSError."""
    return OSError(<int> -failed, "")


cdef bint would_block(Py_ssize_t result) noexcept:
    return result == -EAGAIN or result == -EWOULDBLOCK


cdef tuple address_tuple(const sockaddr_storage *address):
    """(ip, port), IPv4-mapped addresses as IPv4, ('', 0) for a family without either."""
    cdef char text[ADDRESS_TEXT]
    cdef int port = dryad_address_text(address, text, sizeof(text))
    return (text.decode("ascii", "replace"), max(port, 0))


cdef Socket owner_of(int fd):
    """A Socket around a new descriptor, which is closed if not even that can be had."""
    try:
        return Socket(fd)
    except MemoryError:
        dryad_close(fd)
        raise


# Who waits on many sockets at once (waiter): told when one of them becomes ready other than by its descriptor.
attendants = []
cdef int attending = 0
cdef int64_t attended_at = 0
cdef uint64_t closed_count = 0
cdef int reported_at_once = 1


cdef void attend(int change) noexcept:
    """A wait on many sockets begins (1) or ends (-1)."""
    global attending, attended_at
    attending += change
    if attending == 0:
        attended_at = dryad_now()


cdef bint is_attending() noexcept:
    """Is somebody waiting on many sockets, or about to do it again?"""
    return attending > 0 or dryad_now() - attended_at < ATTENDED_NS


cdef void say_how_many(int count) noexcept:
    """So many sockets have been reported to be readable at once; they are asked for their readiness next."""
    global reported_at_once
    reported_at_once = count


cdef int how_many() noexcept:
    """What say_how_many() was told last."""
    return reported_at_once


cdef uint64_t closings() noexcept:
    """How many sockets have been closed so far."""
    return closed_count


# The one of socket.socket is in Python, where a signal's handler may raise before it is done: two would own it then.
detach = plain_socket.detach


def adopt(sock):
    """Take over a Python socket.

    sock: a socket.socket, which is detached.
    Returns the Socket that now owns its descriptor, in blocking mode.
    """
    cdef Socket owner = Socket(-1)
    sock.setblocking(True)
    # One of the two owns the descriptor at any moment, whichever step is refused memory.
    owner.fd = sock.fileno()
    detach(sock)
    dryad_prepare(owner.fd)
    return owner


cdef class Socket:
    """A descriptor and everything that ends with it.

    Made from a descriptor, or from another Socket, whose descriptor it takes over. Owns it until
    release() or abandon(); an object dropped without either closes it.

    attention: there is something for its reader, whatever the descriptor says; unwatched: only that
    counts.
    """

    def __cinit__(self, handle, *args, **kwargs):
        self.fd = self.wakers[0] = self.wakers[1] = -1
        if isinstance(handle, Socket):
            self.fd = (<Socket> handle).fd
            (<Socket> handle).fd = -1
        else:
            self.fd = handle
        self.closed = self.released = False
        self.users = self.waiting = 0
        dryad_prepare(self.fd)

    def __init__(self, handle):
        """Nothing is left to do; here so that subclasses can pass the handle on as in the pure half."""

    def __dealloc__(self):
        dryad_wake_close(self.wakers)
        if self.fd >= 0:
            dryad_close(self.fd)

    def fileno(self):
        """The descriptor, or -1 when it has been given back."""
        return self.fd

    def is_closed(self):
        """Has begin_close() been called?"""
        return self.closed

    def begin_close(self):
        """Let no new call in and wake those who wait. Returns False if that was done before."""
        if self.closed:
            return False
        global closed_count
        self.closed = True
        closed_count += 1
        if self.wakers[1] >= 0:
            dryad_wake(self.wakers[1])
        self.poke()
        return True

    def poke(self):
        """Tell those who wait on this socket among others to look at it."""
        if self.attended == 0:
            return
        for attendant in attendants:
            attendant.poke(self)

    cdef int readiness(self, bint readable) except -1:
        """Would a receive or an accept not give None right now? readable: what the poller says."""
        return readable or self.closed or self.attention

    def release(self):
        """Give the descriptor back, as soon as no thread is inside a system call with it."""
        self.released = True
        self.users += 1
        self.leave()

    def abandon(self):
        """In the child of a fork: close this copy of the descriptor, whoever used it in the parent."""
        self.closed = self.released = True
        self.users = self.waiting = 0
        dryad_wake_close(self.wakers)
        if self.fd >= 0:
            dryad_close(self.fd)
            self.fd = -1

    cdef void set_recv_slice(self) noexcept:
        """Have recv(2) wait for RECV_SLICE_MS at most (SO_RCVTIMEO, socket(7)); set once."""
        if not self.has_recv_slice:
            dryad_set_recv_timeout(self.fd, RECV_SLICE_MS)
            self.has_recv_slice = True

    cdef int leave(self) noexcept:
        """End what began with `users += 1`."""
        self.users -= 1
        if self.users == 0 and self.released and self.fd >= 0:
            dryad_close(self.fd)
            self.fd = -1
        return 0

    cdef void wake_waiting(self) noexcept:
        """Have those who wait look again: what they wait for has come by another thread's hands."""
        self.wakes += 1
        if self.waiting and self.wakers[1] >= 0:
            self.to_wake = self.waiting
            dryad_wake(self.wakers[1])

    cdef int wait(self, short events, int64_t deadline) except -1:
        """Wait without the GIL.

        1: ready (or failed: the next call on it tells); 2: woken, so look again; 0: the time is up,
        or closed.
        """
        cdef pollfd fds[2]
        cdef int count, result, timeout_ms
        cdef unsigned int wakes = self.wakes
        cdef bint first = True
        cdef int64_t left
        if self.closed or dryad_now() >= deadline:
            return 0
        PyErr_CheckSignals()
        if self.released or wakes != self.wakes:
            return 2  # by the background or another thread, while this one was on its way here
        if self.waiting == 0:
            dryad_wake_open(self.wakers)
        self.waiting += 1
        self.users += 1
        fds[0].fd = self.fd
        fds[0].events = events
        fds[1].fd = self.wakers[0]
        fds[1].events = POLLIN
        count = 2 if fds[1].fd >= 0 else 1
        try:
            while not self.closed:
                timeout_ms = -1
                if deadline != NO_DEADLINE:
                    left = deadline - dryad_now()
                    if left <= 0:
                        return 0
                    timeout_ms = <int> min((left + 999999) // 1000000, <int64_t> 0x7FFFFFFF)
                if count == 1 and not 0 <= timeout_ms <= UNWAKABLE_SLICE_MS:
                    timeout_ms = UNWAKABLE_SLICE_MS
                timeout_ms = one_wait(timeout_ms, first)
                first = False
                with nogil:
                    result = dryad_poll(fds, count, timeout_ms)
                if result <= 0:
                    PyErr_CheckSignals()
                if result == -EINTR:
                    continue
                if result < 0:
                    raise os_error(result)
                elif not self.closed and wakes != self.wakes:
                    return 2  # also if it looks ready: what made it so may be what another thread took
                elif not self.closed and result > 0 and fds[0].revents:
                    return 1
            return 0
        finally:
            if wakes != self.wakes:
                # Only the last of those who were to be woken may take the sign away.
                self.to_wake -= 1
                if self.to_wake == 0:
                    dryad_wake_clear(fds[1].fd)
            self.waiting -= 1
            if self.waiting == 0:
                dryad_wake_close(self.wakers)
            self.leave()

    def local_address(self):
        """The descriptor's own (ip, port) (getsockname(2))."""
        cdef sockaddr_storage address
        cdef socklen_t length
        cdef int failed = dryad_getsockname(self.fd, &address, &length)
        if failed:
            raise os_error(failed)
        return address_tuple(&address)

    def peer_address(self):
        """The peer's (ip, port) (getpeername(2))."""
        cdef sockaddr_storage address
        cdef socklen_t length
        cdef int failed = dryad_getpeername(self.fd, &address, &length)
        if failed:
            raise os_error(failed)
        return address_tuple(&address)

    def get_option(self, int level, int option):
        """An int socket option (getsockopt(2))."""
        cdef int value = 0
        cdef int failed = dryad_get_option(self.fd, level, option, &value)
        if failed:
            raise os_error(failed)
        return value

    def set_option(self, int level, int option, value):
        """Set a socket option (setsockopt(2)) to an int or to the bytes of a structure."""
        cdef int number
        cdef int failed
        if isinstance(value, bytes):
            failed = dryad_set_option(self.fd, level, option, <const char *> value, len(value))
        else:
            number = value
            failed = dryad_set_option(self.fd, level, option, &number, sizeof(number))
        if failed:
            raise os_error(failed)

    def set_linger(self, bint enable, int seconds):
        """Set SO_LINGER (socket(7))."""
        cdef int failed = dryad_set_linger(self.fd, enable, seconds)
        if failed:
            raise os_error(failed)

    def unacknowledged(self):
        """How many bytes sent the peer has not acknowledged yet."""
        return dryad_unacknowledged(self.fd)

    def end_sending(self):
        """Send the end of the stream behind everything the kernel holds (shutdown(2)), if there still is a peer."""
        shutdown(self.fd, SHUT_WR)

    def end_both(self):
        """End both directions; what was received stays readable."""
        shutdown(self.fd, SHUT_RDWR)


cdef class Listener(Socket):
    """A listening descriptor. Its descriptor does not block: accept(2) has no flag for that."""

    def __init__(self, handle):
        cdef int failed = dryad_set_blocking(self.fd, False)
        if failed:
            raise os_error(failed)

    cdef bint is_readable(self) noexcept:
        cdef pollfd fds[1]
        fds[0].fd = self.fd
        fds[0].events = POLLIN
        return dryad_poll(fds, 1, 0) > 0

    def set_backlog(self, int backlog):
        """Let so many connections wait to be accepted (listen(2))."""
        cdef int failed = dryad_listen(self.fd, backlog)
        if failed:
            raise os_error(failed)

    def accept(self, int64_t timeout_ms, make):
        """Accept one connection.

        timeout_ms: 0 does not wait, -1 waits without limit; make: called with a Socket that owns
        the new descriptor and the peer's (ip, port).
        Returns what `make` returned, or None: nobody is there, the time is up, or closed.
        Errors: OSError (accept(2)).
        """
        cdef sockaddr_storage address
        cdef socklen_t length
        cdef int64_t deadline = -1
        cdef int accepted
        while not self.closed:
            # accept(2) makes a socket before it looks whether anybody is there: ten times the time of poll(2), and
            # without a descriptor left an error.
            accepted = dryad_accept(self.fd, &address, &length) if self.is_readable() else -EAGAIN
            if accepted >= 0:
                return make(owner_of(accepted), address_tuple(&address))
            if would_block(accepted):
                if timeout_ms == 0:
                    return None
                if deadline < 0:
                    deadline = deadline_after(timeout_ms)
                if not self.wait(POLLIN, deadline):
                    return None
            elif accepted != -EINTR and accepted != -ECONNABORTED:
                raise os_error(accepted)
        return None

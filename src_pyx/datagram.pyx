"""Datagrams: at most one system call a receive, one a send, and the addresses of repeated peers made once.

The socket serves both families where the system has both: an IPv4 peer of an IPv6 socket is an
IPv4-mapped address (RFC 4291, 2.5.5.2), which goes in and comes out as the IPv4 address it is.

A socket that had something every time it was asked reads ahead: recvmmsg(2) brings eight datagrams
for the price of five. They wait in a batch, in their order and with their senders, and everything
else about them (cutting, counting) happens when they are asked for, as without it.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE,
)
from cpython.dict cimport PyDict_Copy, PyDict_SetItem
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from cpython.unicode cimport PyUnicode_Check
from libc.stdint cimport int64_t
from libc.string cimport memcmp, memcpy

from .buffer cimport acquire_block, release_block
from .copying cimport new_bytes
from .deadline cimport deadline_after
from .posix cimport (
    DRYAD_BATCH, EINTR, EMSGSIZE, POLLIN, POLLOUT, dryad_address_make, dryad_batch, dryad_bind,
    dryad_connect, dryad_disconnect, dryad_drops, dryad_recv_batch, dryad_recv_datagram_now,
    dryad_recv_datagram_waiting, dryad_send_now, dryad_send_now_to, sockaddr_storage, socklen_t,
)
from .sock cimport LEAST_SLICE_MS, LONG_WAIT_MS, RECV_SLICE_MS, Socket, address_tuple, os_error, would_block
from .text cimport decode_text

from ..errors import IdError, NetworkTimeoutError, from_errno, join_host_port

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    LARGEST = 65536  # more than any datagram's payload
    LARGEST_PAYLOAD = 65507  # of IPv4 (RFC 768, RFC 791); IPv6 would take 20 bytes more
    READ_AHEAD_AFTER = 4  # receives in a row that found something
    MOST_AFTER = 64  # ... when reading ahead has been in vain: a peer that answers has sent one, and no more

cdef int64_t DONT_WAIT = 0
cdef dryad_batch *spare_batch = NULL
cdef str DATA = "data"


cdef dryad_batch *acquire_batch() except NULL:
    global spare_batch
    cdef dryad_batch *batch = spare_batch
    spare_batch = NULL
    if batch == NULL:
        batch = <dryad_batch *> PyMem_RawMalloc(sizeof(dryad_batch))
        if batch == NULL:
            raise MemoryError
    batch.count = batch.next = batch.users = 0
    return batch


cdef void release_batch(dryad_batch *batch) noexcept:
    global spare_batch
    if spare_batch == NULL:
        spare_batch = batch
    else:
        PyMem_RawFree(batch)


cdef class Destination:
    """An address that can be sent to, bound or connected, in the form the socket wants.

    family: the socket's; ip: a numeric address; port; scope: an interface's index, for link-local ones.
    Errors: OSError (EAFNOSUPPORT), if a socket of that family cannot reach it.
    """

    cdef sockaddr_storage address
    cdef socklen_t length

    def __cinit__(self, int family, str ip not None, int port, unsigned int scope=0):
        cdef int length = dryad_address_make(&self.address, family, ip.encode(), port, scope)
        if length < 0:
            raise os_error(length)
        self.length = length


cdef class Datagram(Socket):
    """A UDP socket and what has gone through it.

    Owns the descriptor and what was read ahead, and remembers the last destination sent to and the
    last sender.
    """

    cdef readonly int64_t timeout_ms
    cdef dryad_batch *batch  # NULL unless there are datagrams in it
    cdef int streak
    cdef int ahead_after
    cdef bint connected
    cdef sockaddr_storage sender
    cdef socklen_t sender_length
    cdef dict sender_result
    cdef str host
    cdef long port
    cdef Destination destination
    cdef readonly int64_t bytes_sent, bytes_received, packets_sent, packets_received
    cdef readonly int64_t packets_truncated, send_errors

    def __cinit__(self, handle, *args, **kwargs):
        self.timeout_ms = 30000
        self.sender_length = 0
        self.batch = NULL
        self.streak = 0
        self.ahead_after = READ_AHEAD_AFTER

    def __dealloc__(self):
        self.drop_batch()

    def begin_close(self):
        """Let no new call in, wake those who wait, let go what was read ahead. False if done before."""
        if not Socket.begin_close(self):
            return False
        self.drop_batch()
        return True

    cdef int readiness(self, bint readable) except -1:
        """Would a receive not give None right now?"""
        return readable or self.closed or self.batch != NULL

    cdef void drop_batch(self) noexcept:
        cdef dryad_batch *batch = self.batch
        self.batch = NULL
        if batch != NULL and batch.users == 0:
            release_batch(batch)

    def set_timeout(self, int64_t timeout_ms):
        """Bound the calls that may wait to so many milliseconds; -1: no limit."""
        self.timeout_ms = timeout_ms

    def bind(self, Destination address not None):
        """bind(2). Errors: OSError."""
        cdef int failed = dryad_bind(self.fd, &address.address, address.length)
        if failed:
            raise os_error(failed)

    def connect(self, Destination address not None):
        """connect(2): where send() goes, and whose datagrams alone are received. Errors: OSError."""
        cdef int failed = dryad_connect(self.fd, &address.address, address.length)
        if failed:
            raise os_error(failed)
        self.connected = True

    def disconnect(self):
        """Have no peer any more. Returns False if there was none."""
        if not self.connected:
            return False
        dryad_disconnect(self.fd)
        self.connected = False
        return True

    def drops(self):
        """How many datagrams the kernel dropped for want of room; 0 where it does not tell."""
        return max(dryad_drops(self.fd), 0)

    # ---- receiving

    def recv(self):
        """The datagram that is there, as text, without waiting.

        Returns {"data", "ip", "port"}, or None: nothing came, or closed.
        Errors: NetworkError (an ICMP error on a connected socket).
        """
        return self.receive(LARGEST, 0, True)

    def recv_blocking(self, int64_t timeout_ms):
        """recv() that waits.

        timeout_ms: 0 does not wait, -1 waits without limit.
        """
        return self.receive(LARGEST, timeout_ms, True)

    def recv_bytes(self):
        """recv() without decoding."""
        return self.receive(LARGEST, 0, False)

    def recv_from(self, size_t size):
        """recv() within the timeout, cut to `size` bytes."""
        return self.receive(min(size, <size_t> LARGEST), self.timeout_ms, True)

    cdef object receive(self, size_t size, int64_t timeout_ms, bint as_text):
        # Not while another thread is inside: it would wait for what is here already, or get what came later.
        if self.batch == NULL and self.streak >= self.ahead_after and self.users == 0 and not self.closed:
            self.read_ahead()
        if self.batch != NULL:
            return self.next_of_batch(size, as_text)
        return self.receive_one(size, timeout_ms, as_text)

    cdef int read_ahead(self) except -1:
        cdef dryad_batch *batch = acquire_batch()
        cdef int count = dryad_recv_batch(self.fd, batch)
        if count > 0:
            self.batch = batch
            if count > 1:
                self.ahead_after = READ_AHEAD_AFTER
            return 0
        release_batch(batch)
        self.streak = 0
        self.ahead_after = min(2 * self.ahead_after, <int> MOST_AFTER)
        if count < 0 and not would_block(count):
            raise from_errno(-count)
        return 0

    cdef object next_of_batch(self, size_t size, bint as_text):
        cdef dryad_batch *batch = self.batch
        cdef int index = batch.next
        cdef size_t held = batch.sizes[index]
        # Making the result may run the garbage collector, and that any code: even a close of this socket. So the
        # datagram is taken out first, and what it lies in stays as long as anybody is at it.
        batch.next += 1
        batch.users += 1
        if batch.next == batch.count:
            self.batch = NULL
            self.streak = self.ahead_after if batch.count == DRYAD_BATCH else 0
        try:
            result = self.result(batch.data[index], min(held, size), &batch.addresses[index],
                                 batch.lengths[index], as_text)
        except BaseException:
            self.put_back(batch, index)
            raise
        finally:
            batch.users -= 1
            if batch.users == 0 and batch != self.batch:
                release_batch(batch)
        self.count_received(min(held, size), held > size)
        if self.batch != NULL and self.attended:
            self.poke()  # no poller tells of what was read ahead
        return result

    cdef void put_back(self, dryad_batch *batch, int index) noexcept:
        """There was no memory for a datagram's result: the next call is given it, if nobody has taken a later one."""
        if self.batch == NULL and not self.closed:
            self.batch = batch
        if self.batch == batch and batch.next == index + 1:
            batch.next = index

    cdef void count_received(self, size_t size, bint truncated) noexcept:
        self.packets_received += 1
        self.bytes_received += size
        self.packets_truncated += truncated

    cdef object receive_one(self, size_t size, int64_t timeout_ms, bint as_text):
        cdef char *block = acquire_block()
        cdef sockaddr_storage address
        cdef socklen_t length = 0
        cdef int truncated = 0
        cdef Py_ssize_t n
        try:
            n = self.read(block, size, timeout_ms, &address, &length, &truncated)
            if self.closed or would_block(n):
                self.streak = 0
                return None
            if n < 0:
                raise from_errno(<int> -n)
            self.streak += 1
            self.count_received(n, truncated)
            return self.result(block, n, &address, length, as_text)
        finally:
            release_block(block)

    cdef Py_ssize_t read(self, char *block, size_t size, int64_t timeout_ms, sockaddr_storage *address,
                         socklen_t *length, int *truncated) except? -1:
        """One datagram into the block, or -errno; the block is this thread's alone while it waits."""
        cdef int fd = self.fd
        cdef int64_t deadline = DONT_WAIT
        cdef bint is_long, is_slice_over
        cdef Py_ssize_t n
        if self.closed:
            return 0
        if timeout_ms != 0:
            is_long = timeout_ms < 0 or timeout_ms >= LONG_WAIT_MS
            if not is_long:
                deadline = deadline_after(timeout_ms)
            if is_long or timeout_ms >= RECV_SLICE_MS:
                self.set_recv_slice()
                self.users += 1
                with nogil:
                    n = dryad_recv_datagram_waiting(fd, block, size, address, length, truncated)
                self.leave()
                if n != -EINTR and not would_block(n):
                    return n
                if is_long:
                    is_slice_over = timeout_ms > 0 and n != -EINTR
                    deadline = deadline_after(timeout_ms - LEAST_SLICE_MS if is_slice_over else timeout_ms)
                # Also for EAGAIN: a signal in the last tick of the slice ends it as if the time were up.
                PyErr_CheckSignals()
        while True:
            n = dryad_recv_datagram_now(fd, block, size, address, length, truncated)
            if timeout_ms == 0 or not would_block(n):
                return n
            if not self.wait(POLLIN, deadline):
                return n

    cdef dict result(self, const char *data, Py_ssize_t size, const sockaddr_storage *address, socklen_t length,
                     bint as_text):
        """The datagram as scripts see it; the objects for the address of a repeated sender are made once."""
        cdef dict result
        cdef object payload
        if length != self.sender_length or memcmp(address, &self.sender, length) != 0:
            ip, port = address_tuple(address)
            self.sender_result = {"data": None, "ip": ip, "port": port}
            memcpy(&self.sender, address, length)
            self.sender_length = length
        if as_text:
            payload = decode_text(data, size, "surrogateescape")
        else:
            payload = new_bytes(data, size)
        result = PyDict_Copy(self.sender_result)
        PyDict_SetItem(result, DATA, payload)
        return result

    # ---- sending

    def remember(self, str host not None, long port, Destination destination not None):
        """Have send_to() know where this host and port are, until another one is remembered."""
        self.host = host
        self.port = port
        self.destination = destination

    def send_to(self, data, str host not None, long port):
        """Send one datagram to a host.

        data: an ASCII str or a bytes-like object. Where a host is that was not remembered,
        find_destination(host, port) tells, which subclasses define.
        Returns the datagram's size. Errors: NetworkError, NetworkTimeoutError, IdError (closed meanwhile).
        """
        if port == self.port and self.host is not None and (host is self.host or host == self.host):
            return self.send_data(data, self.destination)
        return self.send_data(data, self.find_destination(host, port))

    def send(self, data):
        """Send one datagram to where the socket is connected; see send_to()."""
        return self.send_data(data, None)

    cdef object send_data(self, object data, Destination destination):
        cdef Py_buffer view
        cdef const char *text
        cdef Py_ssize_t size
        if PyUnicode_Check(data):
            text = PyUnicode_AsUTF8AndSize(data, &size)
            return self.send_one(text, size, destination)
        if PyBytes_CheckExact(data):
            return self.send_one(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), destination)
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return self.send_one(<const char *> view.buf, view.len, destination)
        finally:
            PyBuffer_Release(&view)

    cdef Py_ssize_t send_one(self, const char *data, Py_ssize_t size, Destination destination) except -1:
        cdef int64_t deadline = -1
        cdef Py_ssize_t n
        if size > LARGEST_PAYLOAD:
            raise self.refused(EMSGSIZE, destination)
        while not self.closed:
            if destination is None:
                n = dryad_send_now(self.fd, data, size)
            else:
                n = dryad_send_now_to(self.fd, data, size, &destination.address, destination.length)
            if n >= 0:
                self.packets_sent += 1
                self.bytes_sent += n
                return n
            if not would_block(n):
                raise self.refused(<int> -n, destination)
            if deadline < 0:
                deadline = deadline_after(self.timeout_ms)
            if not self.wait(POLLOUT, deadline) and not self.closed:
                self.send_errors += 1
                raise NetworkTimeoutError("not sent before the time was up")
        raise IdError("closed")

    cdef object refused(self, int number, Destination destination):
        """Count a send that the system refused. Returns the error, which names where it would have gone."""
        self.send_errors += 1
        problem = from_errno(number)
        if destination is not None:
            problem.about(join_host_port(*address_tuple(&destination.address)))
        return problem

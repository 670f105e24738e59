"""A connection's byte stream: sending, the send queue, and an end that loses nothing.

One system call a send, without waiting; poll(2) and the queue are for what the kernel does not take.
Sends that give up the GIL take the `sending` turn, so that no message is cut in two by another.
"""

from collections import deque
from threading import Lock

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_Check
from libc.stdint cimport int64_t

from .deadline cimport UNHEARD_MS, deadline_after
from .posix cimport EAGAIN, ENOTCONN, NO_DEADLINE, POLLOUT, dryad_now, dryad_send_now
from .receiver cimport Receiver
from .sock cimport would_block

from ..errors import ALREADY_SENDING, IdError, NetworkError, NetworkTimeoutError, from_errno

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident()
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef extern from "poller.h":
    const int DRYAD_READ, DRYAD_WRITE

cdef int64_t DONT_WAIT = 0
cdef str NO_MEMORY = "dropped: there was no memory for what was to be sent to it"


cdef class Turn:
    """One thread at a time, for what gives up the GIL halfway.

    A real lock is made only when two threads meet; until then a turn costs a flag. From then on the lock is
    held whenever nobody is being handed the turn: who waits for it has it in hand before it has the GIL back,
    and until then `taken` has to tell everybody else so.
    """

    def __cinit__(self):
        self.taken = self.handed_over = False
        self.owner = 0
        self.waiting = 0
        self.lock = None

    cdef int take(self, int64_t deadline) except -1:
        """1: taken, while nothing else ran; 2: taken after waiting, so look at the world again; 0: the time is up.

        Errors: NetworkError (this thread has it already, below a signal's handler).
        """
        cdef unsigned long caller = PyThread_get_thread_ident()
        cdef bint has_it
        if not self.taken:
            self.taken = True
            self.owner = caller
            return 1
        if self.owner == caller:
            raise NetworkError(ALREADY_SENDING)
        if self.lock is None:
            lock = Lock()
            lock.acquire()
            if self.lock is None:  # making one may run the garbage collector, and with it anything
                self.lock = lock
            if not self.taken:
                self.taken = True
                self.owner = caller
                return 2
        self.waiting += 1
        try:
            has_it = self.wait(deadline)
        except BaseException:
            self.waiting -= 1
            if self.handed_over and self.lock.acquire(False):
                self.handed_over = False
                self.give()
            raise
        self.waiting -= 1
        # Handed over when the time was up already: there is nobody else to take it.
        if has_it or (self.handed_over and self.lock.acquire(False)):
            self.handed_over = False
            self.owner = caller
            return 2
        return 0

    cdef bint wait(self, int64_t deadline) except -1:
        """Wait for the lock, in pieces as one_wait() says. Returns whether it was had."""
        cdef double left = UNHEARD_MS / 1e3
        while True:
            if deadline != NO_DEADLINE:
                left = min(max(deadline - dryad_now(), 0) / 1e9, UNHEARD_MS / 1e3)
            if self.lock.acquire(True, left):
                return True
            if left < UNHEARD_MS / 1e3:
                return False

    cdef void give(self):
        self.owner = 0
        if self.waiting == 0:
            self.taken = False
        else:
            self.handed_over = True
            self.lock.release()


cdef class Stream(Receiver):
    """One TCP connection's bytes, in and out.

    Owns what its Receiver owns, and the bytes queued for sending.
    """

    def __cinit__(self, handle, *args, **kwargs):
        self.sending = Turn()

    cdef int check_writable(self) except -1:
        if self.closed:
            raise IdError("closed")
        if self.broken:
            self.raise_trouble()
            raise from_errno(ENOTCONN)
        return 0

    def send(self, data):
        """Send all of it, waiting up to the timeout.

        data: an ASCII str or a bytes-like object; neither is copied.
        Returns the number of bytes the kernel took; fewer than all only when the time was up.
        Errors: NetworkTimeoutError (it took none), NetworkError, IdError (closed meanwhile).
        """
        cdef Py_buffer view
        cdef const char *text
        cdef Py_ssize_t size
        if PyUnicode_Check(data):
            text = PyUnicode_AsUTF8AndSize(data, &size)
            return self.send_all(text, size)
        if PyBytes_CheckExact(data):
            return self.send_all(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return self.send_all(<const char *> view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    cdef Py_ssize_t send_all(self, const char *data, Py_ssize_t size) except -1:
        cdef Py_ssize_t sent, n
        cdef int64_t deadline
        self.check_writable()
        n = self.send_small(data, size)
        if n == size:
            return n
        if n < 0 and not would_block(n):
            return self.send_failed(n)
        sent = max(n, 0)
        deadline = deadline_after(self.timeout_ms)
        if self.sending.take(deadline) == 0:
            raise NetworkTimeoutError("nothing was sent before the time was up")
        try:
            while True:
                self.check_writable()
                # What was queued before goes first; what is queued once this has begun comes after it.
                if sent > 0 or self.flush_queue():
                    self.check_writable()
                    n = self.send_some(data + sent, size - sent)
                    if n >= 0:
                        sent += n
                    elif not would_block(n):
                        return self.send_failed(n)
                    if sent == size:
                        return sent
                if not self.wait(POLLOUT, deadline):
                    self.check_writable()
                    if sent == 0:
                        raise NetworkTimeoutError("nothing was sent before the time was up")
                    return sent
        finally:
            self.sending.give()

    cdef Py_ssize_t send_some(self, const char *data, Py_ssize_t size) noexcept:
        """send(2) without waiting; from NOGIL_SIZE on without the GIL, and then in one's turn only."""
        cdef Py_ssize_t n
        cdef int fd = self.fd
        if size < NOGIL_SIZE:
            return dryad_send_now(fd, data, size)
        self.users += 1
        with nogil:
            n = dryad_send_now(fd, data, size)
        self.leave()
        return n

    cdef Py_ssize_t send_failed(self, Py_ssize_t failed) except -1:
        """The connection broke while writing: said at once. What was received stays readable."""
        cdef object trouble = from_errno(<int> -failed)
        self.broken = True
        self.trouble = None
        self.tell_broken(trouble)
        raise trouble

    def offer(self, bytes data not None, Py_ssize_t limit):
        """Send without waiting, and queue what the kernel does not take.

        data: bytes, shared by everybody it is offered to; limit: bytes that may wait in the queue.
        Returns 0: it reaches nobody (closed, broken, or just dropped for going over the limit),
        1: sent, 2: the rest is queued for flush().
        """
        cdef Py_ssize_t n = -EAGAIN
        if self.broken or not self.is_connected():
            return 0
        if self.outgoing_size == 0 and not self.sending.taken:
            self.sending.take(DONT_WAIT)
            try:
                n = self.send_some(data, len(data))
                if 0 < n < len(data):
                    # What others queued while this was being sent without the GIL comes after its rest; and nobody
                    # sends before it is queued.
                    return self.queue_offered(data, n, limit)
            finally:
                self.sending.give()
            if n == len(data):
                return 1
            if not would_block(n):
                self.break_off(n)
                return 0
        return self.queue_offered(data, 0, limit)

    cdef int queue_offered(self, bytes data, Py_ssize_t sent, Py_ssize_t limit) except -1:
        """Queue what is left of it: before all else, if it has begun to go out. Returns what offer() does."""
        cdef Py_ssize_t left = len(data) - sent
        if self.outgoing_size + left > limit:
            self.drop(f"dropped: more than {limit} bytes were waiting to be sent to it")
            return 0
        try:
            self.open_queue()
            if sent:
                self.outgoing.appendleft(data)
                self.outgoing_offset = sent
            else:
                self.outgoing.append(data)
        except MemoryError:
            self.drop(NO_MEMORY)
            return 0
        self.outgoing_size += left
        return 2

    cdef int open_queue(self) except -1:
        """See that there is one. To make it may run the garbage collector, and that even a send that queues."""
        if self.outgoing is None:
            made = deque()
            if self.outgoing is None:
                self.outgoing = made
        return 0

    cdef int cut_short(self, str reason=NO_MEMORY) except -1:
        """The rest of what has begun to go out is lost: nothing can be sent after half of something."""
        self.drop(reason)
        return 0

    def drop(self, str reason not None):
        """Give up on this peer: what is queued goes, both directions end, the next call says why."""
        self.clear_queue()
        if not self.broken:
            self.broken = True
            self.trouble = NetworkError(reason)
        self.end_both()

    def flush(self):
        """Send what is queued, without waiting. True when nothing is left to send."""
        if self.sending.taken:
            return False  # in the middle of its own bytes; it flushes first thing
        self.sending.take(DONT_WAIT)
        try:
            return self.flush_queue()
        finally:
            self.sending.give()

    cdef bint flush_queue(self) except -1:
        cdef Py_ssize_t n
        cdef bytes chunk
        while self.outgoing_size > 0:
            chunk = self.outgoing[0]
            n = self.send_some(<const char *> chunk + self.outgoing_offset, len(chunk) - self.outgoing_offset)
            if n < 0:
                if would_block(n):
                    return False
                self.break_off(n)
                self.clear_queue()
                return True
            if self.outgoing_size == 0:
                return True  # dropped meanwhile
            self.outgoing_size -= n
            self.own_left = max(self.own_left - n, 0)
            self.outgoing_offset += n
            if self.outgoing_offset == len(chunk):
                self.outgoing.popleft()
                self.outgoing_offset = 0
        self.clear_queue()
        return True

    cdef void clear_queue(self):
        self.outgoing = None
        self.outgoing_size = self.outgoing_offset = self.own_left = 0

    def finish_close(self):
        """One step towards the end: flush, send our end of stream, read away what still comes.

        A descriptor that is closed with unread or late input resets the connection, and a reset
        destroys what the peer has not read yet (RFC 9293, 3.10.4; RFC 1122, 4.2.2.13): so it is
        kept until the peer's end of stream.
        Returns what must become possible before the next step (READ, WRITE), or 0: the descriptor
        has been given back.
        """
        cdef bint flushed = self.flush()
        if flushed and not self.told_end:
            self.told_end = True
            self.end_sending()
        # Also before all is flushed: a peer that wants to be rid of its own data first reads ours later.
        self.drain()
        if not self.broken and not (flushed and self.ended):
            return (0 if self.ended else DRYAD_READ) | (0 if flushed else DRYAD_WRITE)
        self.release()
        return 0

"""Waiting for any of many sockets: connections, servers and datagram sockets together.

The sockets of one wait stay registered with the poller for the next, so that its cost is that of
those which have something, and not of those which have nothing. What a poller cannot see (bytes and
messages that were received and not read, clients whose handshake is complete) is told by poke(); a
socket that was reported is looked at again the next time.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.long cimport PyLong_CheckExact
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport qsort
from libc.string cimport memcmp, memset

from .deadline cimport deadline_after, one_wait
from .posix cimport (
    EINTR, NO_DEADLINE, dryad_close, dryad_now, dryad_wake, dryad_wake_clear, dryad_wake_close, dryad_wake_open,
)
from .sock cimport Socket, attend, closings, os_error, say_how_many

from .sock import attendants

cdef extern from "Python.h":
    ctypedef struct PyListObject:
        void **ob_item

cdef extern from "poller.h" nogil:
    enum:
        DRYAD_POLL_BATCH

    struct dryad_ready:
        uint64_t token
        int events

    int dryad_poller_open() noexcept
    int dryad_poller_watch(int poller, int fd, uint64_t token) noexcept
    int dryad_poller_forget(int poller, int fd) noexcept
    int dryad_poller_wait(int poller, dryad_ready *ready, int timeout_ms) noexcept

cdef enum:
    WAKE_TOKEN = 0


cdef int by_number(const void *one, const void *other) noexcept nogil:
    """Which of two positions is first (qsort(3))."""
    cdef Py_ssize_t left = (<const Py_ssize_t *> one)[0]
    cdef Py_ssize_t right = (<const Py_ssize_t *> other)[0]
    return (left > right) - (left < right)


cdef class Waiter:
    """The sockets of the last wait. Owns the poller's descriptor and one to wake it with.

    poke() may be called from any thread while another is in wait(), which gives up the GIL.
    """

    def __cinit__(self):
        cdef int failed
        self.wakers[0] = self.wakers[1] = self.fd = -1
        self.ids = []
        self.names = []
        self.slots = []
        self.tokens = {}
        self.free = []
        self.fd = dryad_poller_open()
        if self.fd < 0:
            raise os_error(self.fd)
        failed = dryad_wake_open(self.wakers)
        if failed == 0:
            failed = dryad_poller_watch(self.fd, self.wakers[0], WAKE_TOKEN)
        if failed:
            raise os_error(failed)
        attendants.append(self)

    def __dealloc__(self):
        PyMem_Free(self.watched)
        PyMem_Free(self.noted)
        PyMem_Free(self.found)
        PyMem_Free(self.positions)
        dryad_wake_close(self.wakers)
        if self.fd >= 0:
            dryad_close(self.fd)

    def close(self):
        """Give the descriptors back, and know no socket any more; as soon as nobody waits with it."""
        if self.busy:
            self.given_up = True
        else:
            self.abandon()

    def abandon(self):
        """Give the descriptors back at once."""
        cdef Socket sock
        for sock in self.tokens:
            sock.attended -= 1
        self.ids = []
        self.names = []
        self.tokens = {}
        self.slots = []
        self.noted_count = 0
        dryad_wake_close(self.wakers)
        if self.fd >= 0:
            dryad_close(self.fd)
            self.fd = -1
        if self in attendants:
            attendants.remove(self)

    def poke(self, Socket sock not None):
        """Look at this socket, even if its descriptor says nothing."""
        token = self.tokens.get(sock)
        if token is not None and sock is not self.looking_at:
            self.note(token - 1)
            if self.asleep:
                dryad_wake(self.wakers[1])

    cpdef list wait(self, list ids, int64_t timeout_ms, resolve):
        """Wait until a receive or an accept on one of them would not give None.

        ids: a list; timeout_ms: 0 does not wait, -1 waits without limit; resolve: called with the
        list if it is not that of the last wait, returns the sockets in its order, as a list.
        Returns the IDs (``id``) of those sockets, in their order; an empty list when the time is up;
        None, if another thread is waiting with it, or has given it up.
        Errors: what `resolve` raises; OSError.
        """
        if self.busy or self.fd < 0:
            return None
        self.busy = True
        try:
            return self.wait_alone(ids, timeout_ms, resolve)
        finally:
            self.busy = False
            if self.given_up:
                self.abandon()

    cdef list wait_alone(self, list ids, int64_t timeout_ms, resolve):
        cdef int64_t deadline = -1
        cdef bint goes_on
        cdef bint first = True
        cdef int patience, piece
        if not self.is_last(ids) or self.seen_closings != closings():
            self.change(ids, resolve(ids))
        attend(1)
        try:
            while True:
                self.look_at_noted()
                patience = 0 if self.found_count else self.patience(timeout_ms, &deadline)
                piece = one_wait(patience, first)
                first = False
                goes_on = self.look_at_poller(piece) or piece != patience
                if self.found_count or (not goes_on and not self.noted_count):
                    return self.report()
        finally:
            self.forget_found()
            attend(-1)

    cdef bint is_last(self, list ids) except -1:
        """Is it the list of the last wait? Scripts pass the same numbers again, and mostly the same objects."""
        cdef Py_ssize_t i
        cdef size_t size = PyList_GET_SIZE(ids)
        if size != <size_t> PyList_GET_SIZE(self.ids):
            return False
        if size == 0:
            return True  # both may be NULL then, which memcmp may not be given
        if memcmp((<PyListObject *> ids).ob_item, (<PyListObject *> self.ids).ob_item, size * sizeof(void *)) == 0:
            return True
        for i in range(PyList_GET_SIZE(ids)):
            given = <object> PyList_GET_ITEM(ids, i)
            last = <object> PyList_GET_ITEM(self.ids, i)
            if given is not last and not (PyLong_CheckExact(given) and given == last):
                return False
        return True

    cdef int change(self, list ids, sockets) except -1:
        """Watch these instead of those of the last wait."""
        cdef dict positions = {}
        cdef Socket sock
        cdef Py_ssize_t position
        self.seen_closings = closings()
        for position, sock in enumerate(sockets):
            positions.setdefault(sock, position)
        self.ids = []  # until everything is registered
        for sock in list(self.tokens):
            if sock not in positions or sock.closed:
                self.forget(sock)
        for sock in positions:
            if sock not in self.tokens:
                self.add(sock)
            self.watched[<Py_ssize_t> self.tokens[sock] - 1].position = positions[sock]
        self.names = [sock.id for sock in sockets]
        self.ids = list(ids)
        return 0

    cdef int add(self, Socket sock) except -1:
        cdef int failed
        cdef object token
        if self.free:
            token = self.free.pop()
            self.slots[token - 1] = sock
        else:
            self.slots.append(sock)
            token = len(self.slots)
        self.make_room(token)
        self.tokens[sock] = token
        sock.attended += 1
        self.note(token - 1)
        if sock.fd >= 0 and not sock.unwatched:
            failed = dryad_poller_watch(self.fd, sock.fd, token)
            if failed:
                self.forget(sock)
                raise os_error(failed)
        return 0

    cdef int make_room(self, Py_ssize_t count) except -1:
        cdef Py_ssize_t more = 2 * count
        if count > self.capacity:
            self.watched = <Watched *> grown(self.watched, more * sizeof(Watched))
            self.noted = <Py_ssize_t *> grown(self.noted, more * sizeof(Py_ssize_t))
            self.found = <Py_ssize_t *> grown(self.found, more * sizeof(Py_ssize_t))
            self.positions = <Py_ssize_t *> grown(self.positions, more * sizeof(Py_ssize_t))
            memset(self.watched + self.capacity, 0, (more - self.capacity) * sizeof(Watched))
            self.capacity = more
        return 0

    cdef int forget(self, Socket sock) except -1:
        cdef object token = self.tokens.pop(sock)
        sock.attended -= 1
        if sock.fd >= 0 and not sock.unwatched:
            dryad_poller_forget(self.fd, sock.fd)
        self.slots[token - 1] = None
        self.free.append(token)
        return 0

    cdef int patience(self, int64_t timeout_ms, int64_t *deadline) noexcept:
        """How many milliseconds to wait from here; -1: no limit."""
        cdef int64_t left
        if timeout_ms == 0:
            return 0
        if deadline[0] < 0:
            deadline[0] = deadline_after(timeout_ms)
        if deadline[0] == NO_DEADLINE:
            return -1
        left = deadline[0] - dryad_now()
        return <int> min((left + 999999) // 1000000, <int64_t> 0x7FFFFFFF) if left > 0 else 0

    cdef void note(self, Py_ssize_t slot) noexcept:
        if not self.watched[slot].is_noted:
            self.watched[slot].is_noted = True
            self.noted[self.noted_count] = slot
            self.noted_count += 1

    cdef int look_at_noted(self) except -1:
        """As many as are noted now: what others note meanwhile has its turn before this wait is over."""
        cdef Py_ssize_t count = self.noted_count
        cdef Py_ssize_t slot
        while count and self.noted_count:
            count -= 1
            self.noted_count -= 1
            slot = self.noted[self.noted_count]
            self.watched[slot].is_noted = False
            self.look(slot, False)
        return 0

    cdef bint look_at_poller(self, int timeout_ms) except -1:
        """Ask the poller, waiting so long. False: it has waited to the end of that, or did not wait at all."""
        cdef dryad_ready ready[DRYAD_POLL_BATCH]
        cdef Py_ssize_t before
        cdef int count, i
        cdef int fd = self.fd
        cdef Py_ssize_t unseen = len(self.tokens) + 1  # so many events, the waker's too, tell of all that are ready
        cdef bint waits = timeout_ms != 0
        cdef bint has_come = False
        while True:
            if timeout_ms != 0:
                PyErr_CheckSignals()
                if self.noted_count:
                    timeout_ms = 0  # by a look, or in a signal's handler; from the next line on the noting wakes
            if timeout_ms == 0:
                count = dryad_poller_wait(fd, ready, 0)
            else:
                self.asleep = True
                with nogil:
                    count = dryad_poller_wait(fd, ready, timeout_ms)
                self.asleep = False
            if count == -EINTR:
                PyErr_CheckSignals()
                return waits
            if count < 0:
                raise os_error(count)
            before = self.found_count
            say_how_many(<int> before + count)
            for i in range(count):
                if ready[i].token == WAKE_TOKEN:
                    dryad_wake_clear(self.wakers[0])
                else:
                    self.look(<Py_ssize_t> ready[i].token - 1, True)
            has_come = has_come or count > 0
            unseen -= count
            # Who waits is back here anyway, if nothing came of it.
            if count == 0 or unseen <= 0 or (count < DRYAD_POLL_BATCH and (waits or self.found_count > before)):
                return waits and has_come
            timeout_ms = 0  # there may be more than it reports at once, and what it has reported may come to nothing

    cdef int look(self, Py_ssize_t slot, bint readable) except -1:
        cdef Socket sock
        if slot >= PyList_GET_SIZE(self.slots):
            return 0  # a handler of a signal has forked, and this is the child, where nothing is watched any more
        sock = <Socket> PyList_GET_ITEM(self.slots, slot)
        if sock is None or self.watched[slot].is_found:
            return 0
        sock.looked_at = True
        self.looking_at = sock
        try:
            if sock.readiness(readable):
                self.watched[slot].is_found = True
                self.found[self.found_count] = slot
                self.found_count += 1
        finally:
            sock.looked_at = False
            self.looking_at = None
        return 0

    cdef list report(self):
        """The IDs of what was found, in their order. The sockets will be looked at again the next time."""
        cdef Py_ssize_t count = self.found_count
        cdef Py_ssize_t i
        cdef bint in_order = True
        cdef list names = self.names
        cdef list report = PyList_New(count)
        for i in range(count):
            self.note(self.found[i])
            self.positions[i] = self.watched[self.found[i]].position
            in_order = in_order and (i == 0 or self.positions[i] > self.positions[i - 1])
        if not in_order:
            qsort(self.positions, count, sizeof(Py_ssize_t), by_number)
        for i in range(count):
            name = <object> PyList_GET_ITEM(names, self.positions[i])
            Py_INCREF(name)
            PyList_SET_ITEM(report, i, name)
        return report

    cdef void forget_found(self) noexcept:
        while self.found_count:
            self.found_count -= 1
            self.watched[self.found[self.found_count]].is_found = False


cdef void *grown(void *block, size_t size) except NULL:
    block = PyMem_Realloc(block, size)
    if block == NULL:
        raise MemoryError
    return block

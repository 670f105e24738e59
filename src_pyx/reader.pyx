"""Reads into a connection's buffer: how long they wait, who may read meanwhile, and why no more comes.

One system call a receive. The descriptor stays in blocking mode: calls that must not wait pass
MSG_DONTWAIT; a call that waits lets recv(2) itself wait for the first RECV_SLICE_MS (SO_RCVTIMEO,
set once), which saves a poll(2) in every round trip, and only then, when a context switch more does
not matter, polls together with a descriptor that begin_close() can wake.

Reads that give up the GIL take the `reading` turn, so that two threads cannot put their bytes into
the buffer in the wrong order.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int64_t

from .buffer cimport BLOCK, Buffer, acquire_block, release_block
from .copying cimport copy
from .deadline cimport deadline_after
from .posix cimport EAGAIN, EINTR, NO_DEADLINE, POLLIN, dryad_now, dryad_recv_now, dryad_recv_waiting
from .sock cimport LEAST_SLICE_MS, LONG_WAIT_MS, RECV_SLICE_MS, Socket, would_block

from ..errors import NetworkError, from_errno

cdef extern from "idle.h":
    int dryad_idle_watch(int fd) noexcept
    void dryad_idle_found_nothing(int fd) noexcept
    void dryad_idle_read_short(int fd) noexcept
    void dryad_idle_may_have_something(int fd) noexcept
    int dryad_idle_is_still(int fd) noexcept
    int dryad_idle_is_still_after(int fd) noexcept
    const int DRYAD_ASKED_IN_VAIN

cdef extern from "sched.h" nogil:
    int sched_yield() noexcept

cdef enum:
    WAITED_SIZE = 16384  # what a read that waits takes of one: this much is copied
    # A script that has asked in vain so often in a row asks in turn, and not after a hint.
    VAIN_READS = 4
    # What a call's deadline is, besides a time.
    DONT_WAIT = 0
    SLICE_TAKEN = -2  # not known yet: it got something in its first slice, and wants more


cdef class Reader(Socket):
    """What comes on a connection, and what is known of its end.

    Owns the descriptor and the bytes received and not yet read.
    """

    def __cinit__(self, handle, *args, **kwargs):
        self.incoming = Buffer()
        self.reading = False
        self.wanting = 0

    cdef int fill(self, size_t room, int64_t timeout_ms, int64_t *deadline) except -1:
        """One read into the buffer, at most `room` bytes where it is empty.

        *deadline is NOT_YET before a call's first one, and then when the call's time is up.
        """
        cdef Py_ssize_t n
        if self.ended:
            return END
        if self.closed:
            return NOTHING
        if self.is_idle_watched and timeout_ms == 0 and self.is_still_idle():
            return NOTHING
        if room == RECORD:
            n = self.read_record(timeout_ms, deadline)
        elif self.incoming.size() < BLOCK // 2:
            room = min(room, <size_t> BLOCK)
            n = self.read_block(room, timeout_ms, deadline)
            # One that waits gives up the GIL, and another thread's look may know of more by now.
            if self.is_idle_watched and timeout_ms == 0 and 0 < n < <Py_ssize_t> room:
                dryad_idle_read_short(self.fd)
        else:
            n = self.read_behind(timeout_ms, deadline)
        if would_block(n) and timeout_ms == 0:
            self.note_vain_read()
        else:
            self.vain_reads = 0
        return self.outcome(n)

    cdef bint is_still_idle(self) noexcept:
        """Is there nothing to read, as is known without asking for this one?

        Who has asked in vain and still asks lets others run; they may have sent, and any thread of this process may
        have closed or read from this connection."""
        cdef int still = dryad_idle_is_still(self.fd)
        if still != DRYAD_ASKED_IN_VAIN or self.incoming.size():
            return still != 0
        with nogil:
            sched_yield()
        return self.closed or self.ended or dryad_idle_is_still_after(self.fd)

    cdef void note_vain_read(self) noexcept:
        """A read that does not wait has found nothing; the next ones may be told so without a system call (idle.h)."""
        if self.closed or self.reading:
            return  # nothing was asked of the system
        if self.is_idle_watched:
            dryad_idle_found_nothing(self.fd)
        elif self.vain_reads < VAIN_READS:
            self.vain_reads += 1
        elif dryad_idle_watch(self.fd) == 0:
            self.is_idle_watched = True
            dryad_idle_found_nothing(self.fd)
        else:
            self.vain_reads = 0  # no descriptor for it, perhaps: later

    cdef void expect_something(self) noexcept:
        """A poller has reported the descriptor: the next read asks the system."""
        if self.is_idle_watched:
            dryad_idle_may_have_something(self.fd)

    cdef int outcome(self, Py_ssize_t n) except -1:
        """What a read that returned this comes to."""
        if n > 0 or n == LOOK_AGAIN:
            return FILLED
        if self.closed or would_block(n):
            return NOTHING
        if n == 0:
            self.ended = True
        else:
            self.fail(n)
        return END

    cdef Py_ssize_t read_block(self, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1:
        """Read into a block of its own, which no other thread sees while this one waits."""
        cdef char *block = acquire_block()
        cdef Py_ssize_t n
        cdef bint kept = False
        try:
            n = self.read_into(block, room, timeout_ms, deadline)
            if n > 0 and not self.closed:
                if self.incoming.size() == 0:
                    self.incoming.attach(block, n)
                    kept = True
                else:
                    self.take_in(block, n)
            return n
        finally:
            if not kept:
                release_block(block)

    cdef Py_ssize_t read_into(self, char *block, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1:
        cdef Py_ssize_t n
        cdef int waited
        cdef unsigned int wakes = self.wakes
        if self.has_time_for_slice(timeout_ms, deadline):
            n = self.read_slice(block, room, timeout_ms, deadline)
            if not would_block(n):
                return n
            if wakes != self.wakes:
                return LOOK_AGAIN  # what another thread had read before has become something to take
        while True:
            n = self.read_now(block, room)
            if not would_block(n):
                return n
            waited = self.wait_for_more(timeout_ms, deadline)
            if waited != 1:
                return LOOK_AGAIN if waited else -EAGAIN

    cdef bint has_time_for_slice(self, int64_t timeout_ms, int64_t *deadline) noexcept:
        if timeout_ms == 0:
            return False
        if deadline[0] == NOT_YET and (timeout_ms < 0 or timeout_ms >= LONG_WAIT_MS):
            return True
        if deadline[0] < 0:
            deadline[0] = deadline_after(timeout_ms)
        return deadline[0] == NO_DEADLINE or deadline[0] - dryad_now() >= RECV_SLICE_MS * <int64_t> 1000000

    cdef Py_ssize_t read_slice(self, char *block, size_t room, int64_t timeout_ms, int64_t *deadline) except? -1:
        """Let recv(2) itself wait, without the GIL and for RECV_SLICE_MS; most answers come in time."""
        cdef Py_ssize_t n
        cdef int fd = self.fd
        if self.released:
            return LOOK_AGAIN
        if self.reading:
            if deadline[0] < 0:
                deadline[0] = deadline_after(timeout_ms)
            return LOOK_AGAIN if self.wait_for_reader(deadline[0]) else -EAGAIN
        self.reading = True
        self.set_recv_slice()
        self.users += 1
        with nogil:
            n = dryad_recv_waiting(fd, block, room)
        self.leave()
        self.reading = False
        if self.wanting:
            self.wake_waiting()
        if n == -EINTR:
            n = -EAGAIN
            timeout_ms += LEAST_SLICE_MS if timeout_ms > 0 else 0  # not a slice, then, that is over
        if would_block(n):
            # Also for EAGAIN: a signal in the last tick of the slice ends it as if the time were up.
            PyErr_CheckSignals()
        if deadline[0] == NOT_YET:
            deadline[0] = SLICE_TAKEN
            if would_block(n):
                deadline[0] = deadline_after(timeout_ms - LEAST_SLICE_MS if timeout_ms > 0 else timeout_ms)
        return n

    cdef int wait_for_reader(self, int64_t deadline) except -1:
        """Another thread is inside recv(2): what comes is its, and what it leaves is everybody's. As wait()."""
        self.wanting += 1
        try:
            return self.wait(0, deadline)
        finally:
            self.wanting -= 1

    cdef int wait_for_more(self, int64_t timeout_ms, int64_t *deadline) except -1:
        """Wait until there is something to read. As wait()."""
        if deadline[0] < 0:
            deadline[0] = deadline_after(timeout_ms) if timeout_ms else DONT_WAIT
        return 0 if deadline[0] == DONT_WAIT else self.wait(POLLIN, deadline[0])

    cdef Py_ssize_t read_behind(self, int64_t timeout_ms, int64_t *deadline) except? -1:
        """Read straight behind what the buffer holds: for messages larger than a block."""
        cdef Py_ssize_t n
        cdef int waited
        while True:
            n = self.read_now(self.incoming.reserve(BLOCK), BLOCK)
            if n > 0:
                self.incoming.commit(n)
            if not would_block(n):
                return n
            waited = self.wait_for_more(timeout_ms, deadline)
            if waited != 1:
                return LOOK_AGAIN if waited else -EAGAIN

    cdef Py_ssize_t read_record(self, int64_t timeout_ms, int64_t *deadline) except? -1:
        """Read to where a large record is gathered; what has to be waited for is read apart, and is not much."""
        cdef size_t room
        cdef char *to = self.incoming.gather(&room)
        cdef Py_ssize_t n = self.read_now(to, min(room, <size_t> BLOCK))
        if n > 0:
            self.incoming.commit(n)
        elif self.incoming.size() == 0:
            self.incoming.settle()
        if timeout_ms == 0 or not would_block(n):
            return n
        return self.read_block(min(room, <size_t> WAITED_SIZE), timeout_ms, deadline)

    cdef Py_ssize_t read_now(self, char *data, size_t room) noexcept:
        """recv(2) without waiting; nothing while another thread is inside one: what comes is its."""
        if self.released:
            return LOOK_AGAIN
        if self.reading or self.closed:
            return -EAGAIN
        return dryad_recv_now(self.fd, data, room, 0)

    cdef int take_in(self, const char *data, size_t size) except -1:
        """Put what was read behind what the buffer holds."""
        try:
            copy(self.incoming.reserve(size), data, size)
        except MemoryError:
            self.lose("there was no memory for what was received")
            raise
        self.incoming.commit(size)
        return 0

    # ---- why no more comes

    cdef int lose(self, str reason) except -1:
        """What was read could not be kept: a stream with a hole in it is over."""
        self.ended = self.broken = True
        self.end_both()
        self.trouble = NetworkError(reason)
        return 0

    cdef int fail(self, Py_ssize_t failed) except -1:
        """The connection broke while reading: no more comes, and the next call may say why."""
        self.ended = True
        return self.break_off(failed)

    cdef int break_off(self, Py_ssize_t failed) except -1:
        """The connection broke, which the next call may say."""
        cdef object trouble = from_errno(<int> -failed)  # first: other threads may run meanwhile, and see the rest
        if not self.broken:
            self.broken = True
            self.trouble = trouble
            self.tell_broken(trouble)
        return 0

    cdef int tell_broken(self, trouble) except -1:
        """broke(), which must not cost what is left to do."""
        try:
            self.broke(trouble)
        except MemoryError:
            return 0  # nobody but a log misses it
        return 0

    def broke(self, trouble):
        """The connection broke, by this error; a subclass may want to tell."""

    cdef int raise_trouble(self) except -1:
        cdef object trouble = self.trouble
        if trouble is not None:
            self.trouble = None
            raise trouble
        return 0

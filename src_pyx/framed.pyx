"""Messages out: framed, masked by a client, compressed and encrypted where that was agreed, and sent.

A message goes out whole or not at all. While a call waits for room in the kernel, it reads what
comes, so that two peers who both send cannot block each other.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_Check
from libc.stdint cimport int64_t, uintptr_t

from .buffer cimport BLOCK, acquire_block, acquire_large, release_block, release_large
from .copying cimport copy, crawls
from .deadline cimport deadline_after, left_until
from .frame cimport CLOSE, CONTINUATION, FIN, LONGEST_HEADER, write_header
from .mask cimport mask_bytes, next_key
from .posix cimport POLLIN, POLLOUT, dryad_poll, dryad_send_now, dryad_send_two_now, pollfd
from .sock cimport would_block
from .stream cimport NOGIL_SIZE
from .transmit cimport CONNECTING, OPEN, Transmitter

from ..errors import ALREADY_SENDING, IdError, NetworkError, NetworkTimeoutError
from ..threads import is_held_here

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    DIRECT_SIZE = 16384  # payloads from this size on are sent from where they lie, if nothing masks them
    # Masked payloads go out in pieces of this size at most: each send(2) may wake the peer, and then
    # the two take turns; with pieces of 256 KiB, 1 MiB took a seventh longer.
    LARGE_SIZE = 1048576 + 14  # a header too

cdef int64_t DONT_WAIT = 0


cdef class Framed(Transmitter):
    """The messages that a connection sends.

    Owns what its Transmitter owns. A subclass offers complete_handshake() too.
    """

    def complete_handshake(self, timeout_ms):
        """Go on with the handshake; the subclass knows how."""
        raise NotImplementedError

    def send_text(self, data):
        """Send a text message.

        data: an ASCII str, or UTF-8 in a bytes-like object.
        Errors: NetworkTimeoutError (nothing of it was sent), NetworkError, IdError (closed).
        """
        self.send_message(1, data, self.timeout_ms)

    def send_binary(self, data):
        """Send a binary message. data: a bytes-like object. Errors: as send_text."""
        self.send_message(2, data, self.timeout_ms)

    def send_frame(self, int opcode, bytes payload not None):
        """Send a control frame, waiting as a message would. Errors: as send_text."""
        self.send_message(opcode, payload, self.timeout_ms)

    cdef int check_open(self) except -1:
        if self.closed:
            raise IdError("closed")
        if self.state != OPEN or self.close_sent or self.broken:  # nothing comes behind a Close frame that waits
            self.raise_trouble()
            if self.close_code:
                raise NetworkError(f"not connected: the connection was closed ({self.close_code})")
            raise NetworkError("not connected")
        return 0

    cdef int64_t open_within(self, int64_t timeout_ms) except -2:
        """See that it is open, and complete the handshake first. Returns what that leaves of the time."""
        cdef int64_t deadline
        if self.state == CONNECTING and not self.closed:
            deadline = deadline_after(timeout_ms)
            if not self.complete_handshake(timeout_ms) and not self.closed:
                raise NetworkTimeoutError("the handshake was not complete before the time was up")
            timeout_ms = left_until(deadline)
        self.check_open()
        return timeout_ms

    cdef int send_message(self, int opcode, data, int64_t timeout_ms) except -1:
        cdef Py_buffer view
        cdef const char *text
        cdef Py_ssize_t size
        if self.state != OPEN or self.broken or self.closed:
            timeout_ms = self.open_within(timeout_ms)
        if PyUnicode_Check(data):
            text = PyUnicode_AsUTF8AndSize(data, &size)
            return self.send_bytes(opcode, text, size, timeout_ms)
        if PyBytes_CheckExact(data):
            return self.send_bytes(opcode, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), timeout_ms)
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            return self.send_bytes(opcode, <const char *> view.buf, view.len, timeout_ms)
        finally:
            PyBuffer_Release(&view)

    cdef int send_bytes(self, int opcode, const char *data, size_t size, int64_t timeout_ms) except -1:
        cdef unsigned char key[4]
        cdef char *block
        cdef int header
        cdef Py_ssize_t total, n
        if self.client:
            next_key(key)  # first, since it may ask the system for more of them and let others run, who send
        if (size >= NOGIL_SIZE or size > self.messages.max_frame_size or self.outgoing_size or self.sending.taken
                or not self.is_plain()):
            self.send_in_turn(opcode, data, size, timeout_ms)
        else:
            block = acquire_block()
            if self.client:
                header = write_header(<unsigned char *> block, opcode | FIN, size, key)
                mask_bytes(block + header, data, size, key, 0)
            else:
                header = write_header(<unsigned char *> block, opcode | FIN, size, NULL)
                copy(block + header, data, size)
            total = header + <Py_ssize_t> size
            n = dryad_send_now(self.fd, block, total)
            if 0 < n < total:
                # The kernel is full, but has taken the beginning: so the rest follows, when it can.
                return self.send_rest(opcode, size, block, n, total, timeout_ms)
            release_block(block)
            if n < 0 and not would_block(n):
                return self.send_failed(n)
            if n != total:
                self.send_in_turn(opcode, data, size, timeout_ms)
        if opcode < CLOSE:
            self.messages_sent += 1
            self.bytes_sent += size
        return 0

    cdef int send_rest(self, int opcode, size_t size, char *block, Py_ssize_t sent, Py_ssize_t total,
                       int64_t timeout_ms) except -1:
        """The rest of a message whose beginning is sent: the kernel takes it in time, or it is queued.

        The turn is taken at once: whatever needs memory may have others run, who would send in between.
        """
        cdef int64_t deadline = deadline_after(timeout_ms)
        self.sending.take(DONT_WAIT)
        try:
            self.keep_rest(block, sent, total)
            if opcode < CLOSE:
                self.messages_sent += 1
                self.bytes_sent += size
            while not self.flush_queue():
                if not self.wait_to_send(deadline):
                    break
            if self.closed:
                raise IdError("closed")
        finally:
            self.sending.give()
            self.after_sending()
        return 0

    cdef int keep_rest(self, char *block, Py_ssize_t sent, Py_ssize_t total) except -1:
        """Queue what the block still holds, and let it go."""
        cdef bytes rest
        try:
            rest = PyBytes_FromStringAndSize(block + sent, total - sent)
        except MemoryError:
            self.cut_short()
            raise
        finally:
            release_block(block)
        self.queue_first(rest)
        return 0

    cdef int send_in_turn(self, int opcode, const char *data, size_t size, int64_t timeout_ms) except -1:
        cdef int64_t deadline = deadline_after(timeout_ms)
        if self.sending.take(deadline) == 0:
            raise NetworkTimeoutError("nothing was sent before the time was up")
        try:
            self.wait_for_turn(deadline)
            if self.is_plain():
                self.send_plain(opcode, data, size, deadline)
            else:
                self.send_encoded(opcode, data, size, deadline)
        finally:
            self.sending.give()
            self.after_sending()
        return 0

    cdef int wait_for_turn(self, int64_t deadline) except -1:
        """Until everything queued before is with the kernel; nothing of the message is sent if it takes too long."""
        while True:
            self.check_open()
            if self.flush_queue():
                self.check_open()
                return 0
            if not self.wait_to_send(deadline):
                self.check_open()
                raise NetworkTimeoutError("nothing was sent before the time was up")

    cdef bint wait_to_send(self, int64_t deadline) except -1:
        """Wait for room, and read what comes meanwhile. False: the time is up, or closed."""
        cdef short events = POLLOUT
        if self.may_pump():
            events |= POLLIN
        if not self.wait(events, deadline):
            return False
        if events & POLLIN:
            self.pump(False)
        return True

    # ---- plain frames, made as they are sent

    cdef int send_plain(self, int opcode, const char *data, size_t size, int64_t deadline) except -1:
        cdef Outgoing out
        cdef char *block
        cdef Py_ssize_t n
        cdef bint ready
        cdef bint large = self.client and size > BLOCK - LONGEST_HEADER
        out.opcode = opcode
        out.data = data
        out.left = size
        out.frame_left = out.chunk_left = out.direct_left = 0
        out.begun = False
        out.room = min(size + LONGEST_HEADER, <size_t> LARGE_SIZE) if large else BLOCK
        block = acquire_large(out.room) if large else acquire_block()
        try:
            while out.chunk_left or out.direct_left or self.next_chunk(&out, block):
                n = self.send_chunk(&out)
                if n > 0:
                    out.begun = True
                    continue
                if not would_block(n):
                    return self.send_failed(n)
                ready = False
                try:
                    ready = self.wait_to_send(deadline)
                finally:
                    # Also when a signal handler raised: half a message would be the end of the connection.
                    # There is no end to save where the stream is over; the rest may be gigabytes.
                    if (out.begun and not (self.broken or self.ended)
                            and (not ready or self.closed or self.state != OPEN)):
                        self.queue_rest(&out, block)
                if not ready or self.closed or self.state != OPEN or self.broken:
                    self.check_open()
                    if not out.begun:
                        raise NetworkTimeoutError("nothing was sent before the time was up")
                    return 0
            return 0
        finally:
            if large:
                release_large(block)
            else:
                release_block(block)

    cdef bint next_chunk(self, Outgoing *out, char *block) except -1:
        """Frame some more of the message. False: there is nothing more to send."""
        cdef size_t used = 0
        cdef size_t part
        cdef int first
        out.chunk = block
        if out.frame_left == 0:
            if out.left == 0 and out.opcode < 0:
                return False
            out.frame_left = out.left  # control frames are never split (RFC 6455, 5.5)
            if out.opcode < CLOSE:
                out.frame_left = min(out.left, self.messages.max_frame_size)
            first = out.opcode | (FIN if out.frame_left == out.left else 0)
            out.opcode = CONTINUATION if out.frame_left != out.left else -1
            if self.client:
                next_key(out.key)
                out.key_offset = 0
            used = write_header(<unsigned char *> block, first, out.frame_left, out.key if self.client else NULL)
        part = out.frame_left
        if not self.client and part >= DIRECT_SIZE and not crawls(used, <uintptr_t> out.data):
            out.direct = out.data
            out.direct_left = part
        else:
            part = min(part, out.room - used)
            if self.client:
                mask_bytes(block + used, out.data, part, out.key, out.key_offset)
                out.key_offset += part
            else:
                copy(block + used, out.data, part)
            used += part
        out.data += part
        out.left -= part
        out.frame_left -= part
        out.chunk_left = used
        return True

    cdef Py_ssize_t send_chunk(self, Outgoing *out) noexcept:
        """Send without waiting. Returns how many bytes the kernel took, or -errno."""
        cdef Py_ssize_t n
        cdef size_t from_chunk
        cdef int fd = self.fd
        self.users += 1
        with nogil:
            if out.direct_left:
                n = dryad_send_two_now(fd, out.chunk, out.chunk_left, out.direct, out.direct_left)
            else:
                n = dryad_send_now(fd, out.chunk, out.chunk_left)
        self.leave()
        if n > 0:
            from_chunk = min(<size_t> n, out.chunk_left)
            out.chunk += from_chunk
            out.chunk_left -= from_chunk
            out.direct += n - from_chunk
            out.direct_left -= n - from_chunk
        return n

    cdef int queue_rest(self, Outgoing *out, char *block) except -1:
        """Queue what is left of a message whose beginning is sent, before anything that was queued meanwhile."""
        cdef bytearray rest
        try:
            rest = bytearray()
            while True:
                rest += out.chunk[:out.chunk_left]
                if out.direct_left:
                    rest += out.direct[:out.direct_left]
                out.chunk_left = out.direct_left = 0
                if not self.next_chunk(out, block):
                    break
            self.queue_first(bytes(rest))
        except MemoryError:
            self.cut_short()
            raise
        return 0

    # ---- compressed or encrypted: made as a whole, and then bound to go out

    cdef int send_encoded(self, int opcode, const char *data, size_t size, int64_t deadline) except -1:
        cdef pollfd fds[1]
        while True:
            # Both ends count what was compressed or encrypted: so there must be room before.
            fds[0].fd = self.fd
            fds[0].events = POLLOUT
            if self.outgoing_size == 0 and dryad_poll(fds, 1, 0) != 0:
                break
            if not self.wait_to_send(deadline):
                self.check_open()
                raise NetworkTimeoutError("nothing was sent before the time was up")
            self.wait_for_turn(deadline)
        self.queue_compressed(opcode, data[:size])
        self.own_left = self.outgoing_size
        try:
            while not self.flush_queue():
                if not self.wait_to_send(deadline):
                    break
        finally:
            self.own_left = 0
        if self.broken:
            self.raise_trouble()
        if self.closed:
            raise IdError("closed")
        return 0

    cdef int queue_compressed(self, int opcode, bytes data) except -1:
        """Compress a message, if that was agreed, and queue it.

        The background answers peers meanwhile, and closes are not held up: zlib has a lock of its own.
        """
        cdef object deflater = self.deflater
        if deflater is None or opcode >= CLOSE:
            return self.queue_encoded(opcode, data, False)
        if is_held_here(self.deflating):  # by a broadcast
            raise NetworkError(ALREADY_SENDING)
        with self.deflating:
            data = deflater.deflate(data)
            self.check_open()  # it took a while
            return self.queue_encoded(opcode, data, True)

    # ---- what the receiving half does

    cdef bint may_pump(self) noexcept:
        return False

    cdef bint pump(self, bint in_background) except -1:
        return False

    cdef int end_protocol(self, int state, int code, str reason) except -1:
        return 0

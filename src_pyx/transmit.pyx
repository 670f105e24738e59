"""Frames that are sent without waiting, and what every frame has to go through on its way out.

What the kernel has no room for waits in the stream's queue, and so does whatever must not come
between the bytes of a message that is being sent.
"""

from threading import RLock

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from libc.stdint cimport int64_t

from .frame cimport CLOSE, CONTINUATION, PONG
from .message cimport Messages
from .posix cimport EAGAIN
from .sock cimport would_block
from .stream cimport NO_MEMORY, NOGIL_SIZE, Stream

from .frame import build

from ..close_codes import build as close_payload
from ..errors import NetworkError
from ..threads import is_held_here

cdef int64_t DONT_WAIT = 0
# Whatever an exception of a signal's handler has left undone in the middle of encrypting.
cdef str INTERRUPTED = "dropped: an exception interrupted what was to be sent to it"

cdef extern from "prefetch.h" nogil:
    void dryad_prefetch(const void *start, size_t size) noexcept


cdef class Transmitter(Stream):
    """A connection's frames on their way out, and what is known of its state.

    Owns what its Stream owns. A subclass offers leave_to_service().

    saying_close: so many threads are about to send a Close frame, and let others run before they have.
    """

    def __cinit__(self, handle, *args, **kwargs):
        self.state = CONNECTING
        self.messages = Messages(False)
        self.close_reason = ""

    def leave_to_service(self):
        """Something is queued; the subclass knows who sends it."""
        raise NotImplementedError

    def set_role(self, bint client):
        """Say which end this is: a client masks what it sends."""
        self.client = client
        self.messages.client = client

    def set_tls(self, tls):
        """Have everything encrypted and decrypted by this session; None: by nobody."""
        self.tls = tls
        self.lock_encoding()

    cdef int lock_encoding(self) except -1:
        """Have one thread at a time encrypt and decrypt: ciphertext must go out in the order it was made, and OpenSSL
        gives up the GIL in the middle."""
        if self.encoding is None:
            self.encoding = RLock()
        return 0

    def set_deflater(self, deflater):
        """Have messages compressed by this; None: not compressed."""
        self.deflater = deflater
        if deflater is not None and self.deflating is None:
            self.deflating = RLock()

    def take_deflater(self):
        """Compress no more. Returns what has done it."""
        deflater = self.deflater
        self.deflater = None
        return deflater

    def set_max_frame_size(self, size_t size):
        """Take no frames with a larger payload, and send none."""
        self.messages.max_frame_size = size

    def set_max_message_size(self, size_t size):
        """Take no larger messages."""
        self.messages.max_message_size = size

    @cython.final
    cdef bint goes_in_one_frame(self, bytes payload) noexcept:
        """Is the wire to carry this as a header and the payload as it is?"""
        return self.is_plain() and PyBytes_GET_SIZE(payload) <= <Py_ssize_t> self.messages.max_frame_size

    cdef bytes wire(self, int opcode, data, bint compressed):
        """A message, compressed or not, or a control frame as the bytes that carry it."""
        try:
            return self.encoded(opcode, data, compressed)
        except NetworkError:
            raise  # the TLS session has ended
        except MemoryError:
            self.unwire()
            raise
        except BaseException:
            self.unwire(INTERRUPTED)
            raise

    cdef bytes encoded(self, int opcode, data, bint compressed):
        cdef list frames
        cdef size_t offset = 0
        cdef size_t size
        cdef size_t limit = self.messages.max_frame_size
        cdef bytes result
        size = len(data)
        if size <= limit or opcode >= CLOSE:
            result = build(opcode, data, self.client, True, compressed)
        else:
            frames = []
            while True:
                frames.append(build(CONTINUATION if offset else opcode, data[offset:offset + limit], self.client,
                                    size - offset <= limit, compressed and offset == 0))
                offset += limit
                if offset >= size:
                    break
            result = b"".join(frames)
        return result if self.tls is None else self.tls.encrypt(result)

    cdef int queue_first(self, bytes data) except -1:
        """Queue the rest of what has begun to go out: before anything else."""
        if not data:
            return 0
        try:
            self.open_queue()
            self.outgoing.appendleft(data)
        except MemoryError:
            self.cut_short()
            raise
        self.outgoing_size += len(data)
        return 0

    cdef int queue_encoded(self, int opcode, data, bint compressed) except -1:
        """Encode a message, and queue it behind everything else."""
        if self.encoding is None:
            return self.queue_wire(opcode, data, compressed)
        with self.encoding:
            return self.queue_wire(opcode, data, compressed)

    cdef int queue_wire(self, int opcode, data, bint compressed) except -1:
        cdef bytes encoded = self.wire(opcode, data, compressed)
        try:
            self.queue_last(encoded)
        except MemoryError:
            self.unwire()
            raise
        return 0

    cdef int unwire(self, str reason=NO_MEMORY) except -1:
        """What wire() has made will not be sent: what it makes next must not refer to it."""
        if self.tls is not None:
            self.cut_short(reason)
        elif self.deflater is not None:
            self.deflater.forget()
        return 0

    cdef int queue_last(self, bytes data) except -1:
        """Queue what goes out behind everything else."""
        self.open_queue()
        self.outgoing.append(data)
        self.outgoing_size += len(data)
        return 0

    cdef int after_sending(self) except -1:
        """The turn is over: send what could not come between, or leave it to the background."""
        cdef bytes payload = self.pong_due
        if self.outgoing_size == 0 and payload is not None:
            self.pong_due = None
            if self.state == OPEN:
                self.send_control(PONG, payload)
        elif self.outgoing_size != 0:
            self.leave_to_service()
        return 0

    cdef int send_control(self, int opcode, bytes payload) except -1:
        """Send a control frame, behind everything that is on its way."""
        if opcode == PONG and (self.outgoing_size or self.sending.taken):
            # Who asks more often than he reads answers gets the last one only (RFC 6455, 5.5.3).
            if self.pong_due is None and not self.sending.taken:
                self.pong_due = payload
                self.leave_to_service()
            self.pong_due = payload
            return 0
        return self.transmit_encoded(opcode, payload, False)

    cdef int transmit_encoded(self, int opcode, bytes payload, bint compressed) except -1:
        if self.encoding is None:
            return self.transmit(self.wire(opcode, payload, compressed))
        with self.encoding:
            try:
                return self.transmit(self.wire(opcode, payload, compressed))
            except NetworkError as error:  # the TLS session has ended
                self.note_trouble(error)
        return 0

    cdef int note_trouble(self, error) except -1:
        """Nothing can be sent any more, which is for the next call to say."""
        if not self.broken:
            self.broken = True
            self.trouble = error
        return 0

    def send_now(self, bytes data not None):
        """Send bytes as they are (encrypted if need be), without waiting; what the kernel does not take is queued."""
        if self.tls is None:
            self.transmit(data)
            return
        with self.encoding:
            try:
                self.transmit(self.encrypted(data))
            except NetworkError as error:
                self.note_trouble(error)

    cdef bytes encrypted(self, bytes data):
        try:
            return self.tls.encrypt(data)
        except NetworkError:
            raise
        except BaseException:
            self.unwire(INTERRUPTED)
            raise

    def send_due(self):
        """Send what the TLS session has to say by itself, without waiting."""
        cdef bytes data
        with self.encoding:
            data = self.tls.due()
            if data:
                self.transmit(data)

    cdef int transmit(self, bytes data) except -1:
        if self.broken or self.fd < 0 or not data:
            return 0
        return self.transmit_rest(data, self.send_small(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)))

    cdef int transmit_rest(self, bytes data, Py_ssize_t n) except -1:
        """Send or queue what the first try to send it, which returned n, has left of it."""
        cdef Py_ssize_t size = len(data)
        if n == size:
            return 0
        if self.outgoing_size == 0 and not self.sending.taken and (n > 0 or size >= NOGIL_SIZE):
            self.sending.take(DONT_WAIT)
            try:
                if n < 0:
                    n = self.send_some(PyBytes_AS_STRING(data), size)
                if 0 < n < size:
                    self.queue_rest_of(data, n)
            finally:
                self.sending.give()
            if n == size:
                return 0
        if n < 0:
            if not would_block(n):
                self.break_off(n)
                return 0
            try:
                self.queue_last(data)
            except MemoryError:
                self.unwire()
                raise
        self.leave_to_service()
        return 0

    cdef int queue_rest_of(self, bytes data, Py_ssize_t sent) except -1:
        """Before what others queued meanwhile, and before anybody else sends."""
        try:
            self.queue_first(data[sent:])
        except MemoryError:
            self.cut_short()
            raise
        return 0

    def flush(self):
        """Send what is queued, without waiting. True when nothing is left to send."""
        cdef bint flushed = Stream.flush(self)
        if flushed and self.pong_due is not None:
            self.after_sending()
        return flushed and self.outgoing_size == 0

    @cython.final
    cdef bint offer_message(self, int opcode, bytes payload, bytes frame, Py_ssize_t limit) except -1:
        """Send a broadcast's message without waiting. False: it does not reach this client."""
        cdef Py_ssize_t sent = -EAGAIN
        if self.state != OPEN or self.close_sent or self.broken or self.closed:
            return False
        if self.goes_in_one_frame(payload):
            sent = self.send_small(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))
        if sent != PyBytes_GET_SIZE(frame) and not self.offer_rest(opcode, payload, frame, sent, limit):
            return False
        self.messages_sent += 1
        self.bytes_sent += PyBytes_GET_SIZE(payload)
        return True

    cdef bint offer_rest(self, int opcode, bytes payload, bytes frame, Py_ssize_t sent, Py_ssize_t limit) except -1:
        """Send or queue what the first try to send the frame, which returned `sent`, has left of it."""
        try:
            return self.send_offered(opcode, payload, frame, sent, limit)
        except MemoryError:
            self.drop(NO_MEMORY)
            return False

    cdef bint send_offered(self, int opcode, bytes payload, bytes frame, Py_ssize_t sent,
                           Py_ssize_t limit) except -1:
        # What a send of the script's own has queued waits as long as that does, and says nothing of the peer.
        cdef Py_ssize_t queued = self.outgoing_size - self.own_left
        if queued and queued + len(payload) > limit:
            self.drop(f"dropped: more than {limit} bytes were waiting to be sent to it")
            return False
        if self.goes_in_one_frame(payload):
            self.transmit_rest(frame, sent)
        else:
            self.offer_encoded(opcode, payload)
        if self.broken:
            return False
        if self.outgoing_size - self.own_left > limit:
            self.drop(f"dropped: more than {limit} bytes were waiting to be sent to it")
            return False
        return True

    cdef int offer_encoded(self, int opcode, bytes payload) except -1:
        """Compress a broadcast's message, and send it; or as it is where one is being compressed, by another thread or
        below a signal's handler: any message may go out so (RFC 7692, 6), and before that one."""
        cdef object deflater = self.deflater
        cdef bint compressed = (deflater is not None and not is_held_here(self.deflating)
                                and self.deflating.acquire(False))
        try:
            self.transmit_encoded(opcode, deflater.deflate(payload) if compressed else payload, compressed)
        finally:
            if compressed:
                self.deflating.release()
        return 0

    def send_close(self, int code, str reason not None):
        """Send a Close frame, behind everything that is on its way; the second time nothing."""
        if self.close_sent or self.state == CONNECTING:
            return
        self.close_sent = True
        # A client leaves it to the server to end the TCP connection (RFC 6455, 7.1.1).
        self.told_end = self.client
        self.saying_close += 1
        try:
            self.send_control(CLOSE, close_payload(code, reason))
        finally:
            self.saying_close -= 1


def broadcast(list clients not None, int opcode, bytes payload not None, Py_ssize_t limit):
    """Send one message to many clients of a server, without waiting for any.

    clients: a list of Transmitter; limit: bytes that may wait for one of them.
    Returns how many it reaches.
    """
    cdef bytes frame = build(opcode, payload, False)
    cdef int reached = 0
    cdef Py_ssize_t count = PyList_GET_SIZE(clients)
    cdef Py_ssize_t i
    for i in range(count):
        if i + 2 < count:
            prefetch(<Transmitter> PyList_GET_ITEM(clients, i + 1), <Transmitter> PyList_GET_ITEM(clients, i + 2))
        reached += (<Transmitter> PyList_GET_ITEM(clients, i)).offer_message(opcode, payload, frame, limit)
    return reached


# What of a client a broadcast looks at, in bytes.
cdef size_t SERVED_SIZE = Transmitter.__basicsize__


cdef inline void prefetch(Transmitter next_one, Transmitter after_that) noexcept:
    """Of a thousand clients none is in the cache any more; it can be by the time that the one before is served."""
    dryad_prefetch(<void *> after_that, SERVED_SIZE)
    dryad_prefetch(<void *> next_one.messages, 1)
    dryad_prefetch(<void *> next_one.sending, 1)

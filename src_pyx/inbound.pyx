"""Messages in, and what control frames ask for (RFC 6455, 5).

A receive takes the next message out of what has come, and leaves the rest there. Only messages of
the other kind, and those that come while nobody receives, are put into queues; when they fill up,
nothing more is read, and TCP makes the peer wait.
"""

from collections import deque

from libc.stdint cimport int64_t, uint64_t

from .deadline cimport deadline_after, left_until
from .frame cimport BINARY, CLOSE, LONGEST_HEADER, PING, PONG, TEXT
from .message cimport NOTHING
from .posix cimport MSG_PEEK, dryad_now, dryad_recv_now, dryad_unread
from .reader cimport END, FILLED, NOT_YET
from .sock cimport how_many, would_block
from .source cimport Source
from .transmit cimport CLOSED, CLOSING, CONNECTING, OPEN

from ..close_codes import ABNORMAL, INTERNAL_ERROR, Violation
from ..close_codes import parse as parse_close
from ..errors import NetworkError

cdef extern from "Python.h":
    int PyUnicode_KIND(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef enum:
    # Where messages of so much are ready that are more together than the cache holds, they are left in
    # the system until they are asked for.
    LEFT_SIZE = 4096
    CACHED_SIZE = 524288
    MESSAGE_COST = 64  # bytes that an unread message takes besides its payload
    HOLD_NS = 200_000_000  # how long the background leaves it to the script to read and answer what came before

# Unread messages that are kept for the script; nothing more is read from a peer who sent so much.
cdef size_t UNREAD_LIMIT = 16 * 1024 * 1024


cdef class Inbound(Source):
    """The messages that a connection receives.

    Owns what its Source owns, and the messages received and not yet read. A subclass offers
    ending() and resumed() too.

    touched: a call has received from it since take_touched(), which notes when; watched: the background will look at
    it without being told by a poller; reported: whoever waits on many has been told of it, and has
    not received since; left: so it was when this was asked last.
    """

    def __cinit__(self, handle, *args, **kwargs):
        self.latency = -1
        self.touched_at = -HOLD_NS

    def ending(self):
        """No more messages; the subclass knows what is left to do."""
        raise NotImplementedError

    def resumed(self):
        """There is something to do that no poller shows; the subclass knows who does it."""
        raise NotImplementedError

    def open(self, inflater, deflater):
        """The handshake is complete; what compresses, if that was agreed.

        Returns False if it was closed before: then it stays so.
        """
        self.messages.set_inflater(inflater)
        self.set_deflater(deflater)
        self.heard = dryad_now()
        if self.closed:
            return False
        self.state = OPEN  # without anything between that lets other threads run, who close
        return True

    # ---- receiving

    def recv_text(self):
        """The next text message that is there now; None if there is none."""
        return self.receive_message(TEXT, 0)

    def recv_text_blocking(self, int64_t timeout_ms):
        """The next text message; None at the end or when the time is up."""
        return self.receive_message(TEXT, timeout_ms)

    def recv_binary(self):
        """The next binary message that is there now; None if there is none."""
        return self.receive_message(BINARY, 0)

    def recv_binary_blocking(self, int64_t timeout_ms):
        """The next binary message; None at the end or when the time is up."""
        return self.receive_message(BINARY, timeout_ms)

    cdef object receive_message(self, int kind, int64_t timeout_ms):
        cdef int64_t deadline = NOT_YET
        cdef int got
        cdef object message
        self.touched = True
        self.reported = False
        if self.state == CONNECTING:
            deadline = deadline_after(timeout_ms)
            if not self.complete_handshake(timeout_ms):
                return None
            timeout_ms = left_until(deadline)
            deadline = NOT_YET
        while True:
            if self.unread:
                message = self.pop_queued(kind)
                if message is not None:
                    return message
            if self.state != OPEN:
                if not self.closed:
                    self.raise_trouble()
                return None
            got = self.next_message(False)
            if got == kind:
                message = self.messages.value
                self.messages.value = None
                self.leave_rest()
                return message
            if got != NOTHING:
                self.keep(got)
                continue
            if self.state != OPEN:
                continue
            if self.held is not None:
                self.act_on_held()  # what is unread is of the other kind, and stays readable
                continue
            if self.parsing:
                if not self.wait_for_parser(timeout_ms, &deadline):
                    return None
                continue
            if self.is_full():
                raise NetworkError(
                    f"{self.unread} bytes of unread {'text' if kind == BINARY else 'binary'} messages are waiting; "
                    "nothing more is read before they are"
                )
            got = self.fill_more(timeout_ms, &deadline)
            if got == NOTHING:
                return None
            if got == END:
                self.lost()

    cdef bint wait_for_parser(self, int64_t timeout_ms, int64_t *deadline) except -1:
        """Wait for the thread that is inflating a message. False: the time is up, or closed."""
        if timeout_ms == 0:
            return False
        if deadline[0] < 0:
            deadline[0] = deadline_after(timeout_ms)
        return self.wait(0, deadline[0]) != 0

    cdef bint is_full(self) noexcept:
        """Is there so much to read that nothing more is taken? One message alone never is, whatever its size."""
        return self.unread - self.slot_cost >= UNREAD_LIMIT

    cdef object pop_queued(self, int kind):
        """The message of this kind that has waited longest, or None."""
        cdef object queue
        cdef object message
        if self.slot is not None and self.slot_kind == kind:
            message = self.slot
            self.slot = None
            self.slot_cost = 0
        else:
            queue = self.texts if kind == TEXT else self.binaries
            if not queue:
                return None
            message = queue.popleft()
            if not queue:
                if kind == TEXT:
                    self.texts = None
                else:
                    self.binaries = None
        self.unread -= cost(message)
        if self.held is not None:
            self.held_at = dryad_now()
        if self.unread:
            self.tell_others()
        self.leave_rest()
        if self.paused and not self.is_full():
            self.paused = False
            self.resume()
        return message

    cdef int next_message(self, bint in_background) except -1:
        """The next message of what has come, in messages.value; control frames before it are dealt with.

        in_background: see act_in_turn().
        Returns its kind, or NOTHING: there is none yet, or there will be none (see state)."""
        cdef int kind = NOTHING
        if self.incoming.size() == 0 and not self.messages.in_frame and self.held is None:
            return NOTHING  # every call that is about to wait comes by here
        if self.parsing:
            return NOTHING  # inflating has given up the GIL to this thread: the message is the other's
        if self.held is not None:
            self.act_in_turn(in_background)
            return NOTHING
        self.parsing = True
        try:
            while self.state == OPEN:
                kind = self.messages.next(self.incoming)
                if kind < CLOSE:
                    break
                self.control(kind)
                kind = NOTHING
        except Violation as violation:
            self.hold(violation)
            self.act_in_turn(in_background)
            return NOTHING
        except BaseException:
            if self.messages.interrupted:
                self.hold(Violation(INTERNAL_ERROR, "an exception interrupted a message that was inflated"))
            raise
        finally:
            self.parsing = False
            self.incoming.settle()
            if self.waiting:
                self.wake_waiting()
            if self.closed or self.ended_meanwhile:
                self.ended_meanwhile = False
                self.resume()  # while this was inflating: what is here of the peer's end, no poller shows
        if kind != NOTHING:
            self.messages_received += 1
            self.bytes_received += self.messages.size
        return kind

    cdef int act_in_turn(self, bint in_background) except -1:
        """Act on what is held if everything before it was read; else see that the background will.

        in_background: the script may be about to answer the message that it has just read, and is
        not to find the connection closed; its own next call acts at once.
        """
        if not self.unread and not (in_background and self.is_in_use()):
            return self.act_on_held()
        self.tell_others()
        if not self.watched:
            self.resume()  # no poller wakes it for this
        return 0

    cdef bint is_in_use(self) noexcept:
        """In the background: has the script received from it a moment ago, as far as has been noticed?"""
        return self.touched or dryad_now() - self.touched_at < HOLD_NS

    cdef int wait_or_act(self) except -1:
        """In the background: act on what is held, unless there still is time to read and answer what came before."""
        if dryad_now() - self.held_at >= HOLD_NS and not self.is_in_use():
            return self.act_on_held()
        return self.resume()

    cdef int act_on_held(self) except -1:
        if self.state == OPEN:
            self.violated(self.held)
        self.held = None  # only now: without memory to do it, it is tried again
        return 0

    cdef int keep(self, int kind) except -1:
        """Put the message just taken where it waits for its reader."""
        cdef object message = self.messages.value
        self.messages.value = None
        if self.unread == 0:
            self.slot = message  # mostly the only one, and not for long
            self.slot_kind = kind
            self.slot_cost = cost(message)
        else:
            try:
                self.queue(kind, message)
            except MemoryError:
                self.hold(Violation(INTERNAL_ERROR, "there was no memory for the messages that were not read"))
                return self.act_in_turn(False)
        self.unread += cost(message)
        self.tell_others()
        return 0

    cdef int queue(self, int kind, message) except -1:
        if kind == TEXT:
            if self.texts is None:
                made = deque()
                self.texts = self.texts or made  # making it may have run anything, as in open_queue()
            self.texts.append(message)
        else:
            if self.binaries is None:
                made = deque()
                self.binaries = self.binaries or made
            self.binaries.append(message)
        return 0

    cdef int leave_rest(self) except -1:
        """What has come behind the message stays in the buffer, where no poller sees it: a ping, perhaps."""
        if self.incoming.size():
            self.tell_others()
            if not self.watched:
                self.resume()
        return 0

    cdef int resume(self) except -1:
        """resumed(), which must not cost the message that is on its way to the script."""
        try:
            self.resumed()
        except MemoryError:
            self.watched = False  # the next call says it again
        return 0

    cdef int tell_others(self) except -1:
        """There is something to read, or nothing will come any more, which no descriptor shows."""
        self.wake_waiting()
        if self.attended > self.looked_at:  # by more than the one that will see it for itself
            self.poke()
        return 0

    cdef int control(self, int kind) except -1:
        cdef bytes payload = self.messages.value
        self.messages.value = None
        if kind == PING:
            try:
                self.send_control(PONG, payload)
            except MemoryError:
                self.pong_due = payload  # the next flush answers
                raise
        elif kind == PONG:
            if payload == self.ping_payload:
                self.ping_payload = None
                self.latency = dryad_now() - self.ping_sent
        else:
            code, reason = parse_close(payload)
            self.close_received = True
            self.send_close(code, "")
            # That this, or a pong before it, did not get through is no trouble: the peer has said all it wanted.
            self.trouble = None
            self.end_protocol(CLOSED, code, reason)
        return 0

    cdef bint may_pump(self) noexcept:
        return (self.state == OPEN and not self.ended and not self.closed and not self.reading
                and not self.is_full() and self.held is None)

    cdef bint take_one(self) except -1:
        """See that there is a message to read, if one has come; what is behind it stays where it is.

        So whatever follows a message, a violation perhaps, is dealt with after it was read. One read, but what is
        broken is read to its end: a send has told the script so, to whom nothing else is to look open.
        """
        cdef int64_t deadline = NOT_YET
        cdef int got
        cdef bint has_read = False
        while not self.unread and self.state == OPEN and not self.closed:
            got = self.next_message(False)
            if got != NOTHING:
                self.keep(got)
                self.leave_rest()
                break
            if (has_read and not self.broken) or self.state != OPEN or self.parsing:
                break
            got = self.fill_more(0, &deadline)
            if got == END:
                self.lost()
            has_read = got == FILLED
            if not has_read:
                break
        return self.unread != 0

    cdef bint shows_message(self) except -1:
        """Is a message there, in one frame, as far as can be seen without taking it?

        Where many connections are ready at once, each message is then made when it is asked for; all of
        them made before would be out of the cache by then.
        """
        cdef char start[LONGEST_HEADER]
        cdef Py_ssize_t n
        cdef uint64_t size
        if (self.state != OPEN or self.tls is not None or self.held is not None or self.incoming.size()
                or self.parsing or self.reading or self.ended or self.released):
            return False
        n = dryad_recv_now(self.fd, start, LONGEST_HEADER, MSG_PEEK)
        if n <= 0:
            if n < 0 and not would_block(n):
                self.fail(n)  # the system says it only once
            return False
        size = self.messages.size_of_whole(start, n)
        return size != 0 and dryad_unread(self.fd) >= size

    cdef bint pump(self, bint in_background) except -1:
        """Read once, to the end if it is broken, and put what comes where it waits. True: there may be more."""
        cdef int64_t deadline = NOT_YET
        cdef int got
        cdef bint has_read = False
        while self.state == OPEN and not self.closed:
            if self.is_full():
                self.paused = True
                return False
            got = self.next_message(in_background)
            if got != NOTHING:
                self.keep(got)
                continue
            if (has_read and not self.broken) or self.state != OPEN or self.parsing or self.held is not None:
                break
            got = self.fill_more(0, &deadline)
            if got == END:
                self.lost()
            elif got == NOTHING:
                return False
            has_read = True
        return has_read

    cdef int readiness(self, bint readable) except -1:
        """Would a receive not give null right now?"""
        self.reported = self.is_ready(readable)
        return self.reported

    cdef bint is_ready(self, bint readable) except -1:
        if self.unread or self.closed:
            return True
        if self.state == CONNECTING:
            self.complete_handshake(0)
        if readable:
            self.expect_something()
            if (self.messages.size >= LEFT_SIZE and how_many() * self.messages.size >= CACHED_SIZE
                    and self.shows_message()):
                return True
        if self.state == OPEN and (readable or self.incoming.size() or self.held is not None):
            self.take_one()
        return self.unread != 0 or self.state > OPEN

    # ---- how it ends

    cdef int violated(self, violation) except -1:
        """The peer broke the protocol: tell it so, and the script once (RFC 6455, 7.1.7)."""
        cdef object trouble = NetworkError(f"the connection was closed ({violation.code}): {violation.reason}")
        self.send_close(violation.code, violation.reason)
        self.trouble = trouble
        return self.end_protocol(CLOSED, violation.code, violation.reason)

    cdef int lost(self) except -1:
        """The stream has ended without a closing handshake."""
        if self.state != OPEN and self.state != CLOSING:
            return 0
        if self.parsing:
            # By another thread, which has given up the GIL to answer or to inflate: it may be at the peer's Close.
            self.ended_meanwhile = True
            return 0
        if self.state == OPEN and not self.broken and (self.messages.inside() or self.incoming.size()):
            self.trouble = NetworkError("the connection ended in the middle of a message")
        return self.end_protocol(CLOSED, self.close_code or ABNORMAL, self.close_reason)

    cdef int end_protocol(self, int state, int code, str reason) except -1:
        """No more messages; what is left is the background's."""
        self.state = state
        if not self.close_code:
            self.close_code = code
            self.close_reason = reason
        if state == CLOSED and not self.reading:
            self.incoming.reset()
            self.messages.let_go()
        self.tell_others()
        self.ending()
        return 0


cdef size_t cost(message):
    """What an unread message holds in memory."""
    if isinstance(message, bytes):
        return MESSAGE_COST + len(message)
    return MESSAGE_COST + <size_t> PyUnicode_KIND(message) * PyUnicode_GET_LENGTH(message)

from libc.stdint cimport int64_t, uint64_t

from .source cimport Source

cdef class Inbound(Source):
    cdef public bint touched
    cdef int64_t touched_at
    cdef public bint watched
    cdef bint reported
    cdef bint left
    cdef bint parsing
    cdef bint ended_meanwhile
    cdef object slot
    cdef int slot_kind
    cdef size_t slot_cost
    cdef object texts
    cdef object binaries
    cdef size_t unread
    cdef bint paused
    cdef bint close_received
    cdef readonly uint64_t bytes_received
    cdef readonly uint64_t messages_received
    cdef int64_t ping_sent
    cdef bytes ping_payload
    cdef int64_t latency

    cdef object receive_message(self, int kind, int64_t timeout_ms)
    cdef bint wait_for_parser(self, int64_t timeout_ms, int64_t *deadline) except -1
    cdef bint is_ready(self, bint readable) except -1
    cdef bint take_one(self) except -1
    cdef bint shows_message(self) except -1
    cdef bint is_full(self) noexcept
    cdef object pop_queued(self, int kind)
    cdef int next_message(self, bint in_background) except -1
    cdef int control(self, int kind) except -1
    cdef int queue(self, int kind, message) except -1
    cdef int leave_rest(self) except -1
    cdef int resume(self) except -1
    cdef int tell_others(self) except -1
    cdef int act_in_turn(self, bint in_background) except -1
    cdef bint is_in_use(self) noexcept
    cdef int wait_or_act(self) except -1
    cdef int act_on_held(self) except -1
    cdef int keep(self, int kind) except -1
    cdef int violated(self, violation) except -1
    cdef int lost(self) except -1

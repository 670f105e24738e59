"""Milliseconds as a moment of the monotonic clock, and how long to wait for it in one go."""

from libc.stdint cimport INT64_MAX, int64_t

from .posix cimport NO_DEADLINE, dryad_now

cdef enum:
    FIRST_WAIT_MS = 10
    UNHEARD_MS = 1000


cdef inline int one_wait(int timeout_ms, bint first) noexcept:
    """How long to wait in one go, for who waits for so many milliseconds (-1: without limit).

    A signal that comes between the last look for one and the system call does not end that: it is noticed
    when the call is over. Most come early, since scripts say what they wait for.
    """
    cdef int longest = FIRST_WAIT_MS if first else UNHEARD_MS
    return timeout_ms if 0 <= timeout_ms <= longest else longest


cdef inline int64_t deadline_after(int64_t timeout_ms) noexcept:
    """Milliseconds from now (negative: no limit) as a moment of the monotonic clock, in nanoseconds."""
    cdef int64_t now
    if timeout_ms < 0:
        return NO_DEADLINE
    now = dryad_now()
    if timeout_ms > (INT64_MAX - now) // 1000000:
        return NO_DEADLINE
    return now + timeout_ms * 1000000


cdef inline int64_t left_until(int64_t deadline) noexcept:
    """The other way round: milliseconds that are left, rounded up (-1: no limit)."""
    if deadline == NO_DEADLINE:
        return -1
    return (max(deadline - dryad_now(), 0) + 999999) // 1000000

"""The waiter that is kept from one wait on many sockets to the next."""

from libc.stdint cimport int64_t

from .waiter cimport Waiter

from ..errors import DryadNetError


cdef class Kept:
    """Waits with the waiter of the last call, and the sockets that it watches.

    A thread that finds it in use makes one for itself.
    """

    cdef readonly Waiter waiter
    cdef object resolve

    def __cinit__(self, resolve):
        """resolve: see Waiter.wait()."""
        self.resolve = resolve

    def wait(self, list ids not None, int64_t timeout_ms):
        """Waiter.wait(), but never None."""
        cdef list found
        cdef Waiter kept = self.waiter
        if kept is None:
            kept = self.made()
        try:
            found = kept.wait(ids, timeout_ms, self.resolve)
        except DryadNetError:
            raise
        except BaseException:
            # Whatever a signal's handler raised may have come in the middle of a change.
            self.drop(kept)
            raise
        return self.wait_once(ids, timeout_ms) if found is None else found

    cdef Waiter made(self):
        cdef Waiter made = Waiter()
        cdef Waiter kept = self.waiter
        if kept is None:
            kept = self.waiter = made
        else:
            made.close()  # making it has let another thread make one
        return kept

    cdef list wait_once(self, list ids, int64_t timeout_ms):
        own = Waiter()
        try:
            return own.wait(ids, timeout_ms, self.resolve) or []
        finally:
            own.close()

    def drop(self, Waiter kept not None):
        """Have nobody begin to wait with this one any more."""
        if self.waiter is kept:
            self.waiter = None
        kept.close()

    def forget(self):
        """In the child of a fork: whoever was waiting with it is not here."""
        kept = self.waiter
        if kept is not None:
            self.waiter = None
            kept.abandon()

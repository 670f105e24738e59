from .inbound cimport Inbound

cdef class WebSocket(Inbound):
    cdef bint told_tls_end

    cdef int read_to_close(self) except -1
    cdef int read_closed(self) except -1

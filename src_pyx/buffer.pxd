cimport cython
from cpython.object cimport PyObject

cdef enum:
    BLOCK = 262144  # one read; more gained nothing on loopback, and it stays in a second-level cache

cdef char *acquire_block() except NULL
cdef void release_block(char *block) noexcept
cdef char *acquire_large(size_t size) except NULL
cdef void release_large(char *memory) noexcept


@cython.final
cdef class Buffer:
    cdef char *data
    cdef size_t start
    cdef size_t end
    cdef size_t capacity
    cdef size_t lead  # bytes of the allocation before `data`
    cdef size_t scanned
    cdef bytes sought
    cdef str delimiter_text
    cdef bytes delimiter
    cdef bint on_block
    cdef PyObject *text  # an ASCII str of `capacity` that nobody else has, if `data` is its storage
    cdef bint other  # ... and of that which was scanned, not all is ASCII
    cdef size_t record  # how large the last record was

    cdef char *reserve(self, size_t room) except NULL
    cdef char *gather(self, size_t *room) except NULL
    cdef int resize(self, size_t capacity) except -1
    cdef void commit(self, size_t size) noexcept
    cdef void attach(self, char *block, size_t size) noexcept
    cdef void settle(self) noexcept
    cdef void reset(self) noexcept
    cdef object pop_bytes(self, size_t size)
    cdef object pop_text(self, size_t size, bint final)
    cdef object pop_text_until(self, bytes delimiter)
    cdef object pop_gathered(self, size_t size)
    cdef bytes encoded(self, str delimiter)
    cdef size_t room(self, size_t size) noexcept
    cpdef bint has_character(self)
    cdef size_t first_character(self, size_t limit, bint final)

    cdef inline size_t size(self) noexcept:
        return self.end - self.start

    cdef inline bint is_large(self, size_t size) noexcept:
        # A str that has been begun goes on; so does what has grown so large.
        return self.text != NULL or self.record >= size or self.size() >= size

    cdef inline void consume(self, size_t size) noexcept:
        self.start += size
        self.scanned = self.scanned - size if self.scanned > size else 0

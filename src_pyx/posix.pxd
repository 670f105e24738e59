"""Declarations of what portable.h and the system headers offer; no code."""

from libc.stdint cimport int64_t

cdef extern from "portable.h" nogil:
    ctypedef unsigned int socklen_t

    struct sockaddr_storage:
        unsigned short ss_family

    struct pollfd:
        int fd
        short events
        short revents

    const int64_t NO_DEADLINE "INT64_MAX"  # a deadline that never comes
    const int EINTR, EAGAIN, EMSGSIZE, EWOULDBLOCK, ECONNABORTED, ENOTCONN
    const int DRYAD_BATCH
    const int MSG_PEEK
    const short POLLIN, POLLOUT
    const int SHUT_WR, SHUT_RDWR

    int64_t dryad_now() noexcept
    int dryad_close(int fd) noexcept
    Py_ssize_t dryad_recv_waiting(int fd, void *data, size_t size) noexcept
    Py_ssize_t dryad_recv_now(int fd, void *data, size_t size, int flags) noexcept
    Py_ssize_t dryad_send_now(int fd, const void *data, size_t size) noexcept
    Py_ssize_t dryad_send_two_now(int fd, const void *first, size_t first_size, const void *second,
                                  size_t second_size) noexcept
    Py_ssize_t dryad_send_now_to(int fd, const void *data, size_t size, const void *address,
                                 socklen_t length) noexcept
    Py_ssize_t dryad_recv_datagram_waiting(int fd, void *data, size_t size, sockaddr_storage *address,
                                           socklen_t *length, int *truncated) noexcept
    Py_ssize_t dryad_recv_datagram_now(int fd, void *data, size_t size, sockaddr_storage *address,
                                       socklen_t *length, int *truncated) noexcept

    struct dryad_batch:
        int count
        int next
        int users
        socklen_t *lengths
        size_t *sizes
        sockaddr_storage *addresses
        char (*data)[65536]
    int dryad_recv_batch(int fd, dryad_batch *batch) noexcept
    int dryad_poll(pollfd *fds, unsigned long count, int timeout_ms) noexcept
    int dryad_accept(int fd, sockaddr_storage *address, socklen_t *length) noexcept
    int dryad_listen(int fd, int backlog) noexcept
    int dryad_set_blocking(int fd, int blocking) noexcept
    void dryad_prepare(int fd) noexcept
    int dryad_set_recv_timeout(int fd, int milliseconds) noexcept
    int dryad_set_option(int fd, int level, int option, const void *value, socklen_t size) noexcept
    int dryad_get_option(int fd, int level, int option, int *value) noexcept
    int dryad_set_linger(int fd, int on, int seconds) noexcept
    int dryad_getsockname(int fd, sockaddr_storage *address, socklen_t *length) noexcept
    int dryad_getpeername(int fd, sockaddr_storage *address, socklen_t *length) noexcept
    int dryad_unacknowledged(int fd) noexcept
    size_t dryad_unread(int fd) noexcept
    int64_t dryad_drops(int fd) noexcept
    int dryad_wake_open(int *fds) noexcept
    void dryad_wake(int fd) noexcept
    void dryad_wake_clear(int fd) noexcept
    void dryad_wake_close(int *fds) noexcept
    int dryad_address_text(const sockaddr_storage *address, char *text, size_t size) noexcept
    int dryad_address_make(sockaddr_storage *address, int family, const char *ip, int port,
                           unsigned int scope) noexcept
    int dryad_bind(int fd, const sockaddr_storage *address, socklen_t length) noexcept
    void dryad_disconnect(int fd) noexcept
    int dryad_connect(int fd, const sockaddr_storage *address, socklen_t length) noexcept
    int shutdown(int fd, int how)

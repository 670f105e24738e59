/* What differs between the systems we run on, behind one set of names.
 *
 * Every function here makes one system call and answers with its result or with -errno, so that
 * a caller that gave up the GIL never has to ask what errno was before it took it back.
 */
#ifndef DRYAD_NET_PORTABLE_H
#define DRYAD_NET_PORTABLE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, recvmmsg; Python.h defines it too */
#endif

#ifdef _WIN32
#error "the compiled half needs POSIX sockets; on Windows dryad_net runs its pure half"
#endif

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

/* macOS has no MSG_NOSIGNAL; there SO_NOSIGPIPE on the socket does the same (dryad_prepare). */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) is 12 bytes of prefix and the IPv4 address. */
#define DRYAD_MAPPED_PREFIX "\0\0\0\0\0\0\0\0\0\0\xff\xff"

static inline int64_t dryad_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int dryad_close(int fd)
{
    return close(fd) < 0 ? -errno : 0;
}

/* A call that does not wait is made again when a signal interrupts it. One that waits is not: its
 * caller has to let Python's signal handlers run first (PEP 475), and sees -EINTR. */
#define DRYAD_UNINTERRUPTED(result, call)                                                              \
    do {                                                                                               \
        (result) = (call);                                                                             \
    } while ((result) < 0 && errno == EINTR)

static inline ssize_t dryad_recv_waiting(int fd, void *data, size_t size)
{
    ssize_t n = recv(fd, data, size, 0);
    return n < 0 ? -errno : n;
}

static inline ssize_t dryad_recv_now(int fd, void *data, size_t size, int flags)
{
    ssize_t n;
    DRYAD_UNINTERRUPTED(n, recv(fd, data, size, flags | MSG_DONTWAIT));
    return n < 0 ? -errno : n;
}

static inline ssize_t dryad_send_now(int fd, const void *data, size_t size)
{
    ssize_t n;
    DRYAD_UNINTERRUPTED(n, send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL));
    return n < 0 ? -errno : n;
}

/* Two pieces by one call, so that no small packet goes ahead with the first. */
static inline ssize_t dryad_send_two_now(int fd, const void *first, size_t first_size, const void *second,
                                         size_t second_size)
{
    struct iovec vector[2];
    struct msghdr message;
    ssize_t n;
    vector[0].iov_base = (void *)first;
    vector[0].iov_len = first_size;
    vector[1].iov_base = (void *)second;
    vector[1].iov_len = second_size;
    memset(&message, 0, sizeof message);
    message.msg_iov = vector;
    message.msg_iovlen = 2;
    DRYAD_UNINTERRUPTED(n, sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
    return n < 0 ? -errno : n;
}

static inline ssize_t dryad_send_now_to(int fd, const void *data, size_t size, const void *address, socklen_t length)
{
    ssize_t n;
    DRYAD_UNINTERRUPTED(n, sendto(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL,
                                  (const struct sockaddr *)address, length));
    return n < 0 ? -errno : n;
}

/* One datagram. *truncated tells whether more had been sent than fitted (MSG_TRUNC, recvmsg(2)). */
static inline ssize_t dryad_recv_datagram(int fd, void *data, size_t size, int flags,
                                          struct sockaddr_storage *address, socklen_t *length,
                                          int *truncated)
{
    ssize_t n;
#ifdef __linux__
    /* With MSG_TRUNC as an input flag Linux returns the datagram's real length: recvfrom does. */
    *length = sizeof *address;
    n = recvfrom(fd, data, size, flags | MSG_TRUNC, (struct sockaddr *)address, length);
    if (n < 0)
        return -errno;
    *truncated = (size_t)n > size;
    return *truncated ? (ssize_t)size : n;
#else
    struct iovec vector = {data, size};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_name = address;
    message.msg_namelen = sizeof *address;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    n = recvmsg(fd, &message, flags);
    if (n < 0)
        return -errno;
    *length = message.msg_namelen;
    *truncated = (message.msg_flags & MSG_TRUNC) != 0;
    return n;
#endif
}

static inline ssize_t dryad_recv_datagram_waiting(int fd, void *data, size_t size, struct sockaddr_storage *address,
                                                  socklen_t *length, int *truncated)
{
    return dryad_recv_datagram(fd, data, size, 0, address, length, truncated);
}

static inline ssize_t dryad_recv_datagram_now(int fd, void *data, size_t size, struct sockaddr_storage *address,
                                              socklen_t *length, int *truncated)
{
    ssize_t n;
    do {
        n = dryad_recv_datagram(fd, data, size, MSG_DONTWAIT, address, length, truncated);
    } while (n == -EINTR);
    return n;
}

/* Datagrams received by one system call and not yet asked for. Only the pages that datagrams fill are
 * ever touched. */
#define DRYAD_BATCH 8
#define DRYAD_LARGEST_DATAGRAM 65536

struct dryad_batch {
    int count, next, users;
    socklen_t lengths[DRYAD_BATCH];
    size_t sizes[DRYAD_BATCH];
    struct sockaddr_storage addresses[DRYAD_BATCH];
    char data[DRYAD_BATCH][DRYAD_LARGEST_DATAGRAM];
};

/* Fill an empty batch with what is there, without waiting. Returns how many, or -errno. */
static inline int dryad_recv_batch(int fd, struct dryad_batch *batch)
{
#ifdef __linux__
    struct mmsghdr messages[DRYAD_BATCH];
    struct iovec vectors[DRYAD_BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < DRYAD_BATCH; i++) {
        vectors[i].iov_base = batch->data[i];
        vectors[i].iov_len = sizeof batch->data[i];
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_name = &batch->addresses[i];
        messages[i].msg_hdr.msg_namelen = sizeof batch->addresses[i];
    }
    int count;
    DRYAD_UNINTERRUPTED(count, recvmmsg(fd, messages, DRYAD_BATCH, MSG_DONTWAIT, NULL));
    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        batch->lengths[i] = messages[i].msg_hdr.msg_namelen;
        batch->sizes[i] = messages[i].msg_len;
    }
#else
    int truncated, count = 1;
    ssize_t n = dryad_recv_datagram_now(fd, batch->data[0], sizeof batch->data[0], &batch->addresses[0],
                                        &batch->lengths[0], &truncated);
    if (n < 0)
        return (int)n;
    batch->sizes[0] = (size_t)n;
#endif
    batch->count = count;
    batch->next = 0;
    return count;
}

static inline int dryad_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int n = poll(fds, count, timeout_ms);
    return n < 0 ? -errno : n;
}

static inline int dryad_accept(int fd, struct sockaddr_storage *address, socklen_t *length)
{
    int accepted;
    *length = sizeof *address;
#if defined(__linux__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
    accepted = accept4(fd, (struct sockaddr *)address, length, SOCK_CLOEXEC);
    if (accepted < 0)
        return -errno;
#else
    accepted = accept(fd, (struct sockaddr *)address, length);
    if (accepted < 0)
        return -errno;
    fcntl(accepted, F_SETFD, FD_CLOEXEC);
#endif
#ifndef __linux__
    /* The BSDs hand the listener's O_NONBLOCK on to what it accepts; our descriptors wait. */
    fcntl(accepted, F_SETFL, fcntl(accepted, F_GETFL) & ~O_NONBLOCK);
#endif
    return accepted;
}

static inline int dryad_listen(int fd, int backlog)
{
    return listen(fd, backlog) < 0 ? -errno : 0;
}

static inline int dryad_set_blocking(int fd, int blocking)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
    return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

static inline void dryad_prepare(int fd)
{
#ifdef SO_NOSIGPIPE
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#else
    (void)fd;
#endif
}

static inline int dryad_set_recv_timeout(int fd, int milliseconds)
{
    struct timeval timeout;
    timeout.tv_sec = milliseconds / 1000;
    timeout.tv_usec = (milliseconds % 1000) * 1000;
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0 ? -errno : 0;
}

static inline int dryad_set_option(int fd, int level, int option, const void *value, socklen_t size)
{
    return setsockopt(fd, level, option, value, size) < 0 ? -errno : 0;
}

static inline int dryad_get_option(int fd, int level, int option, int *value)
{
    socklen_t size = sizeof *value;
    return getsockopt(fd, level, option, value, &size) < 0 ? -errno : 0;
}

static inline int dryad_set_linger(int fd, int on, int seconds)
{
    struct linger value;
    value.l_onoff = on;
    value.l_linger = seconds;
    return dryad_set_option(fd, SOL_SOCKET, SO_LINGER, &value, sizeof value);
}

static inline int dryad_getsockname(int fd, struct sockaddr_storage *address, socklen_t *length)
{
    *length = sizeof *address;
    return getsockname(fd, (struct sockaddr *)address, length) < 0 ? -errno : 0;
}

static inline int dryad_getpeername(int fd, struct sockaddr_storage *address, socklen_t *length)
{
    *length = sizeof *address;
    return getpeername(fd, (struct sockaddr *)address, length) < 0 ? -errno : 0;
}

/* Bytes sent that the peer has not acknowledged; 0 where the system does not tell (tcp(7), SIOCOUTQ). */
static inline int dryad_unacknowledged(int fd)
{
    int bytes = 0;
#ifdef TIOCOUTQ
    if (ioctl(fd, TIOCOUTQ, &bytes) < 0)
        return 0;
#else
    (void)fd;
#endif
    return bytes;
}

/* Bytes that were received and can be read at once (FIONREAD). */
static inline size_t dryad_unread(int fd)
{
    int bytes = 0;
    return ioctl(fd, FIONREAD, &bytes) < 0 || bytes < 0 ? 0 : (size_t)bytes;
}

/* The datagrams the kernel dropped for want of room, or -1 where it does not tell (SO_MEMINFO, Linux 4.12). */
static inline int64_t dryad_drops(int fd)
{
#ifdef __linux__
    uint32_t memory[9]; /* SK_MEMINFO_VARS of linux/sock_diag.h */
    socklen_t size = sizeof memory;
    if (getsockopt(fd, SOL_SOCKET, 55 /* SO_MEMINFO */, memory, &size) == 0 && size >= sizeof memory)
        return memory[8]; /* SK_MEMINFO_DROPS */
#else
    (void)fd;
#endif
    return -1;
}

/* A descriptor pair to wake a poll with: fds[0] becomes readable when fds[1] is written to.
 * An eventfd is both ends at once and costs one descriptor. */
static inline int dryad_wake_open(int fds[2])
{
#ifdef __linux__
    fds[0] = fds[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fds[0] < 0 ? -errno : 0;
#else
    if (pipe(fds) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
#endif
}

static inline void dryad_wake(int fd)
{
    uint64_t one = 1;
    /* A full pipe or counter is one that will wake its reader already. */
    ssize_t ignored = write(fd, &one, sizeof one);
    (void)ignored;
}

static inline void dryad_wake_clear(int fd)
{
    char drained[64];
    while (read(fd, drained, sizeof drained) == (ssize_t)sizeof drained)
        ;
}

static inline void dryad_wake_close(int fds[2])
{
    if (fds[0] >= 0)
        close(fds[0]);
    if (fds[1] >= 0 && fds[1] != fds[0])
        close(fds[1]);
    fds[0] = fds[1] = -1;
}

/* An address as text of at most `size` bytes and its port; IPv4-mapped ones as the IPv4 address
 * they are. Returns the port, or -1 for a family that has none. */
static inline int dryad_address_text(const struct sockaddr_storage *address, char *text, size_t size)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &v4->sin_addr, text, (socklen_t)size);
        return ntohs(v4->sin_port);
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
        if (memcmp(&v6->sin6_addr, DRYAD_MAPPED_PREFIX, 12) == 0) {
            inet_ntop(AF_INET, (const char *)&v6->sin6_addr + 12, text, (socklen_t)size);
        } else {
            inet_ntop(AF_INET6, &v6->sin6_addr, text, (socklen_t)size);
            /* A link-local address means nothing without its interface (RFC 4007, 11). */
            if (v6->sin6_scope_id != 0) {
                size_t used = strlen(text);
                char name[IF_NAMESIZE];
                if (used + IF_NAMESIZE + 1 < size && if_indextoname(v6->sin6_scope_id, name)) {
                    text[used] = '%';
                    strcpy(text + used + 1, name);
                }
            }
        }
        return ntohs(v6->sin6_port);
    }
    text[0] = 0;
    return -1;
}

/* An IP address and port as the sockets of a family take them: IPv4 addresses become IPv4-mapped
 * ones for an AF_INET6 socket. Returns the address's length, or -EAFNOSUPPORT. */
static inline int dryad_address_make(struct sockaddr_storage *address, int family, const char *ip, int port,
                                     unsigned int scope)
{
    unsigned char v4[4];
    memset(address, 0, sizeof *address);
    address->ss_family = (sa_family_t)family;
    if (family == AF_INET) {
        struct sockaddr_in *to = (struct sockaddr_in *)address;
        to->sin_port = htons((uint16_t)port);
        return inet_pton(AF_INET, ip, &to->sin_addr) == 1 ? (int)sizeof *to : -EAFNOSUPPORT;
    }
    if (family == AF_INET6) {
        struct sockaddr_in6 *to = (struct sockaddr_in6 *)address;
        to->sin6_port = htons((uint16_t)port);
        to->sin6_scope_id = scope;
        if (inet_pton(AF_INET, ip, v4) == 1) {
            memcpy(&to->sin6_addr, DRYAD_MAPPED_PREFIX, 12);
            memcpy((char *)&to->sin6_addr + 12, v4, sizeof v4);
            return (int)sizeof *to;
        }
        return inet_pton(AF_INET6, ip, &to->sin6_addr) == 1 ? (int)sizeof *to : -EAFNOSUPPORT;
    }
    return -EAFNOSUPPORT;
}

static inline int dryad_bind(int fd, const struct sockaddr_storage *address, socklen_t length)
{
    return bind(fd, (const struct sockaddr *)address, length) < 0 ? -errno : 0;
}

/* Dissolve a datagram socket's connection. The BSDs do it, and then say EAFNOSUPPORT. */
static inline void dryad_disconnect(int fd)
{
    struct sockaddr nobody;
    memset(&nobody, 0, sizeof nobody);
    nobody.sa_family = AF_UNSPEC;
    if (connect(fd, &nobody, sizeof nobody) < 0)
        return;
}

static inline int dryad_connect(int fd, const struct sockaddr_storage *address, socklen_t length)
{
    return connect(fd, (const struct sockaddr *)address, length) < 0 ? -errno : 0;
}

#endif

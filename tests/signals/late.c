/* A signal that comes after the last look for one and before the system call that waits: it does not end that call. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static __thread int calls_until;

/* SIGINT just before this thread's call that waits, the first from here on or a later one. */
void interrupt_before(int nth)
{
    calls_until = nth;
}

/* The signal, if its time has come, and the C library's own function. */
static void *waiting(const char *name)
{
    if (calls_until > 0 && --calls_until == 0)
        raise(SIGINT);
    return dlsym(RTLD_NEXT, name);
}

static void *plain(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int (*real)(struct pollfd *, nfds_t, int) = timeout != 0 ? waiting("poll") : plain("poll");
    return real(fds, count, timeout);
}

int epoll_wait(int fd, struct epoll_event *events, int size, int timeout)
{
    int (*real)(int, struct epoll_event *, int, int) = timeout != 0 ? waiting("epoll_wait") : plain("epoll_wait");
    return real(fd, events, size, timeout);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
    ssize_t (*real)(int, void *, size_t, int) = flags & MSG_DONTWAIT ? plain("recv") : waiting("recv");
    return real(fd, data, size, flags);
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *length)
{
    ssize_t (*real)(int, void *, size_t, int, struct sockaddr *, socklen_t *) =
        flags & MSG_DONTWAIT ? plain("recvfrom") : waiting("recvfrom");
    return real(fd, data, size, flags, address, length);
}

/* Readiness of many descriptors: epoll on Linux, kqueue on the BSDs and macOS, one interface.
 *
 * Interest is one-shot: what was reported is not watched again until it is armed again, so that a
 * descriptor nobody serves cannot wake the waiting thread twice. A token (never zero) names the
 * registration, not the descriptor: a number reused by the kernel cannot be mistaken for another.
 * Arming is safe while another thread waits (epoll_ctl(2), kqueue(2)). What is watched instead of
 * armed is reported for as long as it can be read.
 */
#ifndef DRYAD_NET_POLLER_H
#define DRYAD_NET_POLLER_H

#include "portable.h"

#define DRYAD_READ 1
#define DRYAD_WRITE 2
#define DRYAD_POLL_BATCH 64

struct dryad_ready {
    uint64_t token;
    int events;
};

#ifdef __linux__

#include <sys/epoll.h>
#define DRYAD_POLLER_NAME "epoll"

static inline int dryad_poller_open(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static inline int dryad_poller_arm(int poller, int fd, uint64_t token, int events)
{
    struct epoll_event event;
    event.events = EPOLLONESHOT | ((events & DRYAD_READ) ? EPOLLIN | EPOLLRDHUP : 0) |
                   ((events & DRYAD_WRITE) ? EPOLLOUT : 0);
    event.data.u64 = token;
    if (epoll_ctl(poller, EPOLL_CTL_MOD, fd, &event) == 0)
        return 0;
    if (errno == ENOENT && epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0)
        return 0;
    return -errno;
}

static inline int dryad_poller_watch(int poller, int fd, uint64_t token)
{
    struct epoll_event event;
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.u64 = token;
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static inline int dryad_poller_forget(int poller, int fd)
{
    struct epoll_event unused; /* Linux before 2.6.9 wanted a pointer */
    return epoll_ctl(poller, EPOLL_CTL_DEL, fd, &unused) < 0 && errno != ENOENT ? -errno : 0;
}

static inline int dryad_poller_wait(int poller, struct dryad_ready *ready, int timeout_ms)
{
    struct epoll_event events[DRYAD_POLL_BATCH];
    int n = epoll_wait(poller, events, DRYAD_POLL_BATCH, timeout_ms);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        uint32_t what = events[i].events;
        int both = what & (EPOLLERR | EPOLLHUP);
        ready[i].token = events[i].data.u64;
        ready[i].events = ((both || (what & (EPOLLIN | EPOLLRDHUP))) ? DRYAD_READ : 0) |
                          ((both || (what & EPOLLOUT)) ? DRYAD_WRITE : 0);
    }
    return n;
}

#else

#include <sys/event.h>
#define DRYAD_POLLER_NAME "kqueue"

static inline int dryad_poller_open(void)
{
    int fd = kqueue();
    if (fd < 0)
        return -errno;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd;
}

static inline int dryad_poller_filter(int poller, int fd, uint64_t token, short filter, int wanted)
{
    struct kevent change;
    EV_SET(&change, fd, filter, wanted ? EV_ADD | EV_ONESHOT : EV_DELETE, 0, 0, (void *)(uintptr_t)token);
    if (kevent(poller, &change, 1, NULL, 0, NULL) < 0 && (wanted || errno != ENOENT))
        return -errno;
    return 0;
}

static inline int dryad_poller_arm(int poller, int fd, uint64_t token, int events)
{
    int failed = dryad_poller_filter(poller, fd, token, EVFILT_READ, events & DRYAD_READ);
    return failed ? failed : dryad_poller_filter(poller, fd, token, EVFILT_WRITE, events & DRYAD_WRITE);
}

static inline int dryad_poller_watch(int poller, int fd, uint64_t token)
{
    struct kevent change;
    EV_SET(&change, fd, EVFILT_READ, EV_ADD, 0, 0, (void *)(uintptr_t)token);
    return kevent(poller, &change, 1, NULL, 0, NULL) < 0 ? -errno : 0;
}

static inline int dryad_poller_forget(int poller, int fd)
{
    return dryad_poller_arm(poller, fd, 0, 0);
}

static inline int dryad_poller_wait(int poller, struct dryad_ready *ready, int timeout_ms)
{
    struct kevent events[DRYAD_POLL_BATCH];
    struct timespec limit, *timeout = NULL;
    if (timeout_ms >= 0) {
        limit.tv_sec = timeout_ms / 1000;
        limit.tv_nsec = (long)(timeout_ms % 1000) * 1000000;
        timeout = &limit;
    }
    int n = kevent(poller, NULL, 0, events, DRYAD_POLL_BATCH, timeout);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        ready[i].token = (uint64_t)(uintptr_t)events[i].udata;
        ready[i].events = events[i].filter == EVFILT_WRITE ? DRYAD_WRITE : DRYAD_READ;
    }
    return n;
}

#endif
#endif

/* kqueue(2) as far as src_pyx/poller.h uses it, made of epoll(7): the BSDs' branches run on Linux.
 *
 * Written from FreeBSD's manual page. One filter of a descriptor is one registration; EV_ADD again
 * changes it, EV_ONESHOT takes it away with its first event, and closing the descriptor does too.
 */
#ifndef DRYAD_NET_TESTS_EVENT_H
#define DRYAD_NET_TESTS_EVENT_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <time.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ONESHOT 0x0010
#define EV_EOF 0x8000

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    int64_t data;
    void *udata;
};

#define EV_SET(change, ident_, filter_, flags_, fflags_, data_, udata_)                                \
    (*(change) = (struct kevent){(uintptr_t)(ident_), (filter_), (unsigned short)(flags_), (fflags_),  \
                                 (data_), (udata_)})

struct emulated_filter {
    int active, oneshot;
    void *udata;
};

struct emulated_registration {
    int queue, fd;
    struct emulated_filter filters[2]; /* reading, writing */
};

#define EMULATED_MOST 8192
static struct emulated_registration emulated[EMULATED_MOST];
static int emulated_count;
static pthread_mutex_t emulated_lock = PTHREAD_MUTEX_INITIALIZER;

static inline struct emulated_registration *emulated_find(int queue, int fd)
{
    for (int i = 0; i < emulated_count; i++)
        if (emulated[i].queue == queue && emulated[i].fd == fd)
            return &emulated[i];
    return NULL;
}

static inline int kqueue(void)
{
    int queue = epoll_create1(0);
    pthread_mutex_lock(&emulated_lock);
    for (int i = 0; i < emulated_count; i++) /* of a queue that had this number before */
        if (emulated[i].queue == queue)
            emulated[i].filters[0].active = emulated[i].filters[1].active = 0;
    pthread_mutex_unlock(&emulated_lock);
    return queue;
}

/* Tell epoll what the filters want. A descriptor that epoll does not know is a new one. */
static inline int emulated_update(struct emulated_registration *entry, int filter)
{
    struct epoll_event wanted = {0};
    wanted.data.fd = entry->fd;
    for (int attempt = 0; attempt < 2; attempt++) {
        wanted.events = (entry->filters[0].active ? (uint32_t)(EPOLLIN | EPOLLRDHUP) : 0) |
                        (entry->filters[1].active ? (uint32_t)EPOLLOUT : 0);
        if (wanted.events == 0) {
            epoll_ctl(entry->queue, EPOLL_CTL_DEL, entry->fd, &wanted);
            return 0;
        }
        if (epoll_ctl(entry->queue, EPOLL_CTL_MOD, entry->fd, &wanted) == 0)
            return 0;
        if (errno != ENOENT)
            return -1;
        entry->filters[!filter].active = 0;
        wanted.events = filter ? (uint32_t)EPOLLOUT : (uint32_t)(EPOLLIN | EPOLLRDHUP);
        if (epoll_ctl(entry->queue, EPOLL_CTL_ADD, entry->fd, &wanted) == 0)
            return 0;
    }
    return -1;
}

static inline int emulated_change(int queue, const struct kevent *change)
{
    int filter = change->filter == EVFILT_WRITE;
    struct emulated_registration *entry = emulated_find(queue, (int)change->ident);
    if (change->flags & EV_DELETE) {
        if (entry == NULL || !entry->filters[filter].active) {
            errno = ENOENT;
            return -1;
        }
        entry->filters[filter].active = 0;
        return emulated_update(entry, !filter);
    }
    if (entry == NULL) {
        if (emulated_count == EMULATED_MOST) {
            errno = ENOMEM;
            return -1;
        }
        entry = &emulated[emulated_count++];
        *entry = (struct emulated_registration){.queue = queue, .fd = (int)change->ident};
    }
    entry->filters[filter] = (struct emulated_filter){1, change->flags & EV_ONESHOT, change->udata};
    if (emulated_update(entry, filter) < 0) {
        entry->filters[filter].active = 0;
        return -1;
    }
    return 0;
}

static inline int kevent(int queue, const struct kevent *changes, int change_count, struct kevent *events,
                         int event_count, const struct timespec *limit)
{
    for (int i = 0; i < change_count; i++) {
        pthread_mutex_lock(&emulated_lock);
        int failed = emulated_change(queue, &changes[i]);
        pthread_mutex_unlock(&emulated_lock);
        if (failed)
            return -1;
    }
    if (event_count < 2)
        return 0;
    struct epoll_event ready[64];
    int most = event_count / 2 < 64 ? event_count / 2 : 64;
    int milliseconds = limit ? (int)(limit->tv_sec * 1000 + (limit->tv_nsec + 999999) / 1000000) : -1;
    int found = epoll_wait(queue, ready, most, milliseconds);
    int count = 0;
    if (found < 0)
        return -1;
    pthread_mutex_lock(&emulated_lock);
    for (int i = 0; i < found; i++) {
        struct emulated_registration *entry = emulated_find(queue, ready[i].data.fd);
        uint32_t over = ready[i].events & (EPOLLERR | EPOLLHUP);
        uint32_t seen[2] = {over | (ready[i].events & (EPOLLIN | EPOLLRDHUP)), over | (ready[i].events & EPOLLOUT)};
        int changed = 0;
        for (int filter = 0; entry != NULL && filter < 2; filter++) {
            struct emulated_filter *which = &entry->filters[filter];
            if (!which->active || !seen[filter])
                continue;
            EV_SET(&events[count], ready[i].data.fd, filter ? EVFILT_WRITE : EVFILT_READ, over ? EV_EOF : 0, 0, 0,
                   which->udata);
            count++;
            if (which->oneshot) {
                which->active = 0;
                changed = 1;
            }
        }
        if (changed)
            emulated_update(entry, entry->filters[1].active);
    }
    pthread_mutex_unlock(&emulated_lock);
    return count;
}

#endif

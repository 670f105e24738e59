/* Descriptors that had nothing to read when they were last asked, and whether that is still so.
 *
 * A script that asks a thousand connections in turn learns from one epoll_wait(2) what would else take
 * a thousand times recv(2). What one look has told holds for every descriptor that has not been asked
 * since, for DRYAD_LOOK_NS: less than it takes to send anything over TCP, so whatever a script can know
 * to have been sent is found by the next call.
 *
 * Descriptors are watched edge-triggered (epoll(7)): what comes after a read that found nothing is
 * reported, at the latest by the next look. So is what comes after a read that got less than it asked
 * for, but neither the end nor what lies behind urgent data (tcp(7)) was behind it at the last look: it
 * has found nothing as well, without a recv(2) to hear so. A report for a number that now belongs to
 * another socket costs that one a recv(2) and nothing else. A descriptor given back is -1. Nothing here
 * waits; the caller holds the GIL.
 */
#ifndef DRYAD_NET_IDLE_H
#define DRYAD_NET_IDLE_H

#include "portable.h"

#define DRYAD_LOOK_NS 2000
/* Looks that find nothing at all and follow each other as closely as this are those of a script that
 * does nothing but ask. */
#define DRYAD_SPIN_NS 100000
/* Where nobody was there to run when the script last let others run, it does so in one of so many looks. */
#define DRYAD_ALONE_LOOKS 4

enum { DRYAD_MAY_HAVE_SOMETHING = 0, DRYAD_STILL_NOTHING, DRYAD_ASKED_IN_VAIN };
/* In place of a look: it may have something, which a short read is the whole of. */
#define DRYAD_HAS_BYTES_ONLY UINT32_MAX

#ifdef __linux__

#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>

static struct {
    int poller;
    int capacity;
    uint32_t look;      /* how many there have been; never 0 nor DRYAD_HAS_BYTES_ONLY */
    int64_t looked_at;
    unsigned in_vain;   /* looks in a row that found nothing, closely behind each other; may begin again */
    int alone;          /* when others were last let run, nobody did */
    uint32_t *answered; /* by descriptor: in which look it last was said to have nothing, or what it may have */
} dryad_idle = {-1, 0, 1, 0, 0, 0, NULL};

/* The parent goes on with the poller: a child that added its own descriptors there would disturb it. */
static void dryad_idle_in_child(void)
{
    if (dryad_idle.poller >= 0)
        close(dryad_idle.poller);
    dryad_idle.poller = -1;
}

static int dryad_idle_make_room(int fd)
{
    int capacity = fd < 512 ? 1024 : 2 * fd;
    uint32_t *answered;
    if (fd < dryad_idle.capacity)
        return 0;
    answered = realloc(dryad_idle.answered, (size_t)capacity * sizeof *answered);
    if (answered == NULL)
        return -ENOMEM;
    memset(answered + dryad_idle.capacity, 0, (size_t)(capacity - dryad_idle.capacity) * sizeof *answered);
    dryad_idle.answered = answered;
    dryad_idle.capacity = capacity;
    return 0;
}

/* Watch a descriptor from now on; closing it ends that. Returns 0 or -errno. */
static int dryad_idle_watch(int fd)
{
    static int told_of_forks;
    struct epoll_event event = {EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET, {.fd = fd}};
    if (dryad_idle_make_room(fd) < 0)
        return -ENOMEM;
    if (dryad_idle.poller < 0) {
        if (!told_of_forks && pthread_atfork(NULL, NULL, dryad_idle_in_child) != 0)
            return -ENOMEM;
        told_of_forks = 1;
        dryad_idle.poller = epoll_create1(EPOLL_CLOEXEC);
        if (dryad_idle.poller < 0)
            return -errno;
    }
    return epoll_ctl(dryad_idle.poller, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* A read from a watched descriptor has found nothing. */
static void dryad_idle_found_nothing(int fd)
{
    if (fd >= 0)
        dryad_idle.answered[fd] = dryad_idle.look;
}

/* A read from a watched descriptor has got less than it asked for. */
static void dryad_idle_read_short(int fd)
{
    if (fd >= 0 && dryad_idle.answered[fd] == DRYAD_HAS_BYTES_ONLY)
        dryad_idle.answered[fd] = dryad_idle.look;
}

/* A watched descriptor may have something, as somebody else has learnt. */
static void dryad_idle_may_have_something(int fd)
{
    if (fd >= 0)
        dryad_idle.answered[fd] = 0;
}

static void dryad_idle_note(const struct epoll_event *event)
{
    uint32_t *answered = &dryad_idle.answered[event->data.fd];
    if (event->events != EPOLLIN)
        *answered = DRYAD_MAY_HAVE_SOMETHING;
    else if (*answered != DRYAD_MAY_HAVE_SOMETHING) /* which may be known of another socket of this number */
        *answered = DRYAD_HAS_BYTES_ONLY;
}

static void dryad_idle_look(int64_t now)
{
    struct epoll_event events[64];
    int n, i;
    dryad_idle.in_vain = now - dryad_idle.looked_at < DRYAD_SPIN_NS ? dryad_idle.in_vain + 1 : 0;
    dryad_idle.looked_at = now;
    if (++dryad_idle.look == DRYAD_HAS_BYTES_ONLY)
        dryad_idle.look = 1;
    do {
        n = epoll_wait(dryad_idle.poller, events, 64, 0);
        if (n > 0)
            dryad_idle.in_vain = 0;
        for (i = 0; i < n; i++)
            dryad_idle_note(&events[i]);
    } while (n == 64);
}

static int dryad_idle_had_nothing(int fd)
{
    uint32_t answered = dryad_idle.answered[fd];
    return answered != DRYAD_MAY_HAVE_SOMETHING && answered != DRYAD_HAS_BYTES_ONLY;
}

/* Is it still so that there is nothing to read from a watched descriptor? If not known, it has to be asked.
 *
 * DRYAD_ASKED_IN_VAIN: there is nothing, and a script that asks and asks had better let those run who
 * could send something. Told once a look. */
static int dryad_idle_is_still(int fd)
{
    int answer = DRYAD_STILL_NOTHING;
    int64_t now;
    if (fd < 0 || !dryad_idle_had_nothing(fd))
        return DRYAD_MAY_HAVE_SOMETHING;
    now = dryad_now();
    if (dryad_idle.answered[fd] == dryad_idle.look || now - dryad_idle.looked_at > DRYAD_LOOK_NS) {
        dryad_idle_look(now);
        if (!dryad_idle_had_nothing(fd))
            return DRYAD_MAY_HAVE_SOMETHING;
        if (dryad_idle.in_vain > 0 && (!dryad_idle.alone || dryad_idle.in_vain % DRYAD_ALONE_LOOKS == 0))
            answer = DRYAD_ASKED_IN_VAIN;
    }
    dryad_idle.answered[fd] = dryad_idle.look;
    return answer;
}

/* After others were let run: is it still so? Where nobody was there to run, nobody has sent. */
static int dryad_idle_is_still_after(int fd)
{
    dryad_idle.alone = dryad_now() - dryad_idle.looked_at < DRYAD_LOOK_NS;
    if (fd >= 0 && dryad_idle.alone && dryad_idle_had_nothing(fd))
        return DRYAD_STILL_NOTHING;
    return dryad_idle_is_still(fd);
}

#else

/* kqueue could do the same (EV_CLEAR); until somebody has measured it there, every call asks. */
static int dryad_idle_watch(int fd) { (void)fd; return -ENOSYS; }
static void dryad_idle_found_nothing(int fd) { (void)fd; }
static void dryad_idle_read_short(int fd) { (void)fd; }
static void dryad_idle_may_have_something(int fd) { (void)fd; }
static int dryad_idle_is_still(int fd) { (void)fd; return DRYAD_MAY_HAVE_SOMETHING; }
static int dryad_idle_is_still_after(int fd) { (void)fd; return DRYAD_MAY_HAVE_SOMETHING; }

#endif
#endif

/* What the library's calls promise and plain system calls do not, one by one, so that a floor can be measured with it. */
#ifndef DRYAD_NET_FLOOR_PROMISES_H
#define DRYAD_NET_FLOOR_PROMISES_H

#include <pthread.h>

#include "worker.h"

/* A receive ends when its time is up: a timer for every recv(2) that waits (SO_RCVTIMEO, socket(7)). */
static inline void bound_waits(int fd)
{
    struct timeval limit = {.tv_sec = 5};
    check(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0, "SO_RCVTIMEO");
}

static inline void *sleep_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

/* Pings are answered whatever the script does: by a second thread, which sleeps else. */
static inline void have_second_thread(void)
{
    static pthread_t sleeper;
    static int started;
    if (!started)
        check(pthread_create(&sleeper, NULL, sleep_for_ever, NULL) == 0, "pthread_create");
    started = 1;
}

/* A UDP socket that reaches 127.0.0.1 and could reach ::1 as well: an IPv6 one, and IPv4-mapped addresses. */
static inline int connect_udp_of_both_families(int port)
{
    struct sockaddr_in6 address;
    int off = 0, fd = socket(AF_INET6, SOCK_DGRAM, 0);
    check(fd >= 0, "socket");
    check(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0, "IPV6_V6ONLY");
    memset(&address, 0, sizeof address);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons((uint16_t)port);
    check(inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr) == 1, "inet_pton");
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    return fd;
}

#endif

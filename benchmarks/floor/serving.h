/* A server of one process per connection, which ends when the harness closes its standard input. */
#ifndef DRYAD_NET_FLOOR_SERVING_H
#define DRYAD_NET_FLOOR_SERVING_H

#include <poll.h>
#include <signal.h>

#include "worker.h"

static inline int serve_connections(void (*talk)(int fd))
{
    int listener = listen_on_any_port();
    struct pollfd watched[2] = {{.fd = 0, .events = POLLIN}, {.fd = listener, .events = POLLIN}};
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    printf("%d\n", bound_port(listener));
    fflush(stdout);
    while (poll(watched, 2, -1) > 0) {
        if (watched[0].revents)
            return 0;
        int fd = accept(listener, NULL, NULL);
        check(fd >= 0, "accept");
        if (fork() == 0) {
            close(listener);
            no_delay(fd);
            talk(fd);
            _exit(0);
        }
        close(fd);
    }
    return 1;
}

#endif

/* calls recv_nothing|send|recv_something|recv_nothing_in_turn|epoll_wait|accept_nobody: bare system calls on TCP
 * sockets. */
#include "worker.h"

#include <fcntl.h>
#include <sys/epoll.h>

enum { SIZE = 64, BATCH = 64, IDLE = 1000 };

static int ends[2], idle[IDLE], poller, listener;
static char data[SIZE * BATCH];

static void recv_nothing(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++)
        check(recv(ends[0], data, 4096, MSG_DONTWAIT) < 0 && errno == EAGAIN, "recv");
    stop(watch, count);
}

static void recv_nothing_in_turn(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++)
        check(recv(idle[i % IDLE], data, 4096, MSG_DONTWAIT) < 0 && errno == EAGAIN, "recv");
    stop(watch, count);
}

static void accept_nobody(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++)
        check(accept(listener, NULL, NULL) < 0 && errno == EAGAIN, "accept");
    stop(watch, count);
}

static void wait_for_any(struct stopwatch *watch, int64_t count)
{
    struct epoll_event ready[64];
    start(watch);
    for (int64_t i = 0; i < count; i++)
        check(epoll_wait(poller, ready, 64, 0) == 0, "epoll_wait");
    stop(watch, count);
}

static void connect_idle(void)
{
    listener = listen_on_any_port();
    for (int i = 0; i < IDLE; i++) {
        idle[i] = connect_to(bound_port(listener));
        check(accept(listener, NULL, NULL) >= 0, "accept");
    }
}

static void send_some(struct stopwatch *watch, int64_t count)
{
    for (; count > 0; count -= BATCH) {
        start(watch);
        for (int i = 0; i < BATCH; i++)
            check(send(ends[0], data, SIZE, MSG_DONTWAIT | MSG_NOSIGNAL) == SIZE, "send");
        stop(watch, BATCH);
        receive_exactly(ends[1], data, sizeof data);
    }
}

static void recv_something(struct stopwatch *watch, int64_t count)
{
    for (; count > 0; count -= BATCH) {
        check(send(ends[1], data, sizeof data, 0) == sizeof data, "send");
        start(watch);
        for (int i = 0; i < BATCH; i++)
            check(recv(ends[0], data, SIZE, 0) == SIZE, "recv");
        stop(watch, BATCH);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    connected_pair(ends);
    if (strcmp(what, "recv_nothing_in_turn") == 0) {
        connect_idle();
        return serve(recv_nothing_in_turn);
    }
    if (strcmp(what, "epoll_wait") == 0) {
        connect_idle();
        check((poller = epoll_create1(0)) >= 0, "epoll_create1");
        for (int i = 0; i < IDLE; i++) {
            struct epoll_event wanted = {.events = EPOLLIN};
            check(epoll_ctl(poller, EPOLL_CTL_ADD, idle[i], &wanted) == 0, "epoll_ctl");
        }
        return serve(wait_for_any);
    }
    if (strcmp(what, "accept_nobody") == 0) {
        listener = listen_on_any_port();
        check(fcntl(listener, F_SETFL, O_NONBLOCK) == 0, "fcntl");
        return serve(accept_nobody);
    }
    if (strcmp(what, "recv_nothing") == 0)
        return serve(recv_nothing);
    if (strcmp(what, "send") == 0)
        return serve(send_some);
    if (strcmp(what, "recv_something") == 0)
        return serve(recv_something);
    fprintf(stderr, "calls: what?\n");
    return 1;
}

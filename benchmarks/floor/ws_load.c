/* ws_load PORT CONNECTIONS SIZE: round trips of binary messages, one under way on every connection.
 *
 * The frame is built once, and of the echo only its length is looked at (the first of every
 * connection is compared), so that nearly all of the machine is the server's.
 */
#include "websocket.h"

#include <sys/epoll.h>

enum { EVENTS = 256 };

static int *fds, connections, poller;
static size_t size, frame_size, answer_size, *missing;
static char *frame, *answer, *incoming;

static void say(int i)
{
    send_exactly(fds[i], frame, frame_size);
    missing[i] = answer_size;
}

static void run(struct stopwatch *watch, int64_t count)
{
    struct epoll_event events[EVENTS];
    int64_t said = 0, done = 0;
    start(watch);
    while (said < count && said < connections)
        say((int)said++);
    while (done < count) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        check(ready > 0, "epoll_wait");
        for (int e = 0; e < ready; e++) {
            int i = events[e].data.fd;
            ssize_t n = recv(fds[i], incoming, missing[i], 0);
            check(n > 0, "recv");
            missing[i] -= (size_t)n;
            if (missing[i] > 0)
                continue;
            done++;
            if (said < count) {
                say(i);
                said++;
            }
        }
    }
    stop(watch, count);
}

int main(int argc, char **argv)
{
    check(argc == 4, "ws_load PORT CONNECTIONS SIZE");
    int port = atoi(argv[1]);
    connections = atoi(argv[2]);
    size = (size_t)atoi(argv[3]);
    answer_size = header_size(size, 0) + size;
    fds = calloc((size_t)connections, sizeof *fds);
    missing = calloc((size_t)connections, sizeof *missing);
    frame = malloc(size + LONGEST_HEADER);
    answer = malloc(answer_size);
    incoming = message_room(answer_size);
    check(fds && missing && frame && answer, "malloc");
    dryad_mask_choose();
    size_t header = build_header(answer, BINARY, size, 0);
    for (size_t i = 0; i < size; i++)
        answer[header + i] = (char)(i * 7);
    frame_size = build_masked(frame, BINARY, answer + header, size);
    poller = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = i};
        fds[i] = connect_to(port);
        ask_for_upgrade(fds[i], port);
        check(epoll_ctl(poller, EPOLL_CTL_ADD, fds[i], &event) == 0, "epoll_ctl");
        send_exactly(fds[i], frame, frame_size);
        receive_exactly(fds[i], incoming, answer_size);
        check(memcmp(incoming, answer, answer_size) == 0, "the same bytes");
    }
    return serve(run);
}

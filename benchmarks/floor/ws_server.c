/* ws_server: prints its port, then does what it is told on standard input.
 *
 * "echo": sends back every message, from as many clients as come, with one epoll, until standard
 * input ends; "echo whole" looks first whether the message of every client that has something is there as a
 * whole, and leaves it where it is. "open N" accepts until there are N clients, "talk" sends back one message of each;
 * both are answered with the bytes of memory private to this process. "broadcast COUNT SIZE" sends
 * COUNT messages to every client, and is answered with "WALL CPU OPS".
 */
#include "websocket.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "private.h"

enum { EVENTS = 256, ROOM = 1024 * 1024, MOST = 65536 };

/* What a client has between two messages: a state, and nothing else unless part of one is here. */
static struct client {
    char *held;
    size_t size;
    char open;
} clients[MOST];

static char *data, frame_to_all[MOST];
static int listener, *fds;
static long count;

static void forget(int fd)
{
    free(clients[fd].held);
    clients[fd].held = NULL;
    clients[fd].size = 0;
    clients[fd].open = 0;
    close(fd);
}

/* Send back every whole message in data[0..last), which begins with a frame; keep what is left. */
static int echo(int fd, size_t last)
{
    struct client *client = &clients[fd];
    struct frame frame;
    size_t first = 0;
    while (parse_header(data + first, last - first, &frame) && last - first >= frame.header + frame.size) {
        char *payload = data + first + frame.header;
        dryad_mask(payload, payload, frame.size, frame.key, 0);
        /* A server's header is shorter, for it has no key: it fits in front of the payload. */
        char *answer = payload - header_size(frame.size, 0);
        build_header(answer, frame.opcode == PING ? PONG : frame.opcode, frame.size, 0);
        send_exactly(fd, answer, header_size(frame.size, 0) + frame.size);
        if (frame.opcode == CLOSE)
            return 0;
        first += frame.header + frame.size;
    }
    if (first < last) {
        client->held = realloc(client->held, last - first);
        check(client->held != NULL, "realloc");
        memcpy(client->held, data + first, last - first);
    }
    client->size = last - first;
    return 1;
}

static void read_from(int fd)
{
    struct client *client = &clients[fd];
    if (!client->open) {
        client->open = (char)answer_handshake(fd);
        if (!client->open)
            forget(fd);
        return;
    }
    if (client->size > 0)
        memcpy(data, client->held, client->size);
    ssize_t n = recv(fd, data + client->size, ROOM - client->size, MSG_DONTWAIT);
    if (n <= 0 || !echo(fd, client->size + (size_t)n))
        forget(fd);
}

/* What has to be known before it is promised that a receive finds a message, or the end. */
static int is_whole(int fd)
{
    char start[LONGEST_HEADER];
    struct frame frame;
    int held = 0;
    ssize_t n = recv(fd, start, sizeof start, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n > 0 && parse_header(start, (size_t)n, &frame) && ioctl(fd, FIONREAD, &held) == 0 &&
                      (size_t)held >= frame.header + frame.size);
}

static void echo_for_ever(int looks_first)
{
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.fd = listener};
    int poller = epoll_create1(0);
    check(epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) == 0, "epoll_ctl");
    event.data.fd = 0;
    check(epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event) == 0, "epoll_ctl");
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        /* What is there in part is reported again. */
        for (int e = 0; looks_first && e < ready; e++)
            if (clients[events[e].data.fd].open && !is_whole(events[e].data.fd))
                events[e].events = 0;
        for (int e = 0; e < ready; e++) {
            int fd = events[e].data.fd;
            if (events[e].events == 0)
                continue;
            if (fd == 0)
                return;
            if (fd != listener) {
                read_from(fd);
                continue;
            }
            event.data.fd = accept(listener, NULL, NULL);
            check(event.data.fd >= 0 && event.data.fd < MOST, "accept");
            no_delay(event.data.fd);
            check(epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event) == 0, "epoll_ctl");
        }
    }
}

static void open_until(long wanted)
{
    fds = realloc(fds, (size_t)wanted * sizeof *fds);
    check(fds != NULL, "realloc");
    for (; count < wanted; count++) {
        int fd = accept(listener, NULL, NULL);
        check(fd >= 0 && fd < MOST && answer_handshake(fd), "accept");
        no_delay(fd);
        clients[fd].open = 1;
        fds[count] = fd;
    }
}

static void talk(void)
{
    for (long i = 0; i < count; i++) {
        ssize_t n = recv(fds[i], data, ROOM, 0);
        check(n > 0 && echo(fds[i], (size_t)n) && clients[fds[i]].size == 0, "a whole message");
    }
}

static void broadcast(long times, size_t size)
{
    struct stopwatch watch = {0};
    check(size + LONGEST_HEADER <= sizeof frame_to_all, "SIZE");
    start(&watch);
    for (long i = 0; i < times; i++) {
        size_t whole = build_header(frame_to_all, BINARY, size, 0) + size;
        for (long j = 0; j < count; j++)
            check(send(fds[j], frame_to_all, whole, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)whole, "send");
    }
    stop(&watch, times * count);
    printf("%lld %lld %lld\n", (long long)watch.wall, (long long)watch.cpu, (long long)watch.operations);
}

int main(void)
{
    char line[64];
    long number = 0, size = 0;
    dryad_mask_choose();
    data = message_room(ROOM);
    listener = listen_on_any_port();
    printf("%d\n", bound_port(listener));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "echo", 4) == 0) {
            echo_for_ever(strstr(line, "whole") != NULL);
            return 0;
        }
        if (sscanf(line, "broadcast %ld %ld", &number, &size) == 2) {
            broadcast(number, (size_t)size);
        } else {
            if (sscanf(line, "open %ld", &number) == 1)
                open_until(number);
            else
                talk();
            printf("%lld\n", private_bytes());
        }
        fflush(stdout);
    }
    return 0;
}

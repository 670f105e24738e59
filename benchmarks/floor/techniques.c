/* techniques WHAT: one way of doing something; techniques.py puts those of one question side by side. */
#pragma GCC optimize("O3")
#define _GNU_SOURCE
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "../../src_pyx/mask.h"
#include "promises.h"

enum { SIZE = 64, BATCH = 64, IDLE = 256, PAGE = 4096, BLOCK = 65536, PAYLOAD = 1024 };

static int ends[2], poller, idle[IDLE];
static volatile unsigned char flags[IDLE];
static char data[BATCH * SIZE], lines[BLOCK], header[8] = "header", scratch[1 << 20];
static char *target;
static const unsigned char key[4] = {0x12, 0x34, 0x56, 0x78};

/* ---- a receive that may wait, and need not */

static void receive_batch(struct stopwatch *watch, int64_t count, ssize_t (*receive)(void))
{
    for (; count > 0; count -= BATCH) {
        check(send(ends[1], data, sizeof data, 0) == sizeof data, "send");
        start(watch);
        for (int i = 0; i < BATCH; i++)
            check(receive() == SIZE, "recv");
        stop(watch, BATCH);
    }
}

static ssize_t recv_alone(void)
{
    return recv(ends[0], data, SIZE, 0);
}

static ssize_t recv_after_poll(void)
{
    struct pollfd watched = {.fd = ends[0], .events = POLLIN};
    check(poll(&watched, 1, 5000) == 1, "poll");
    return recv(ends[0], data, SIZE, 0);
}

static void run_recv_alone(struct stopwatch *watch, int64_t count)
{
    bound_waits(ends[0]);
    receive_batch(watch, count, recv_alone);
}

static void run_recv_after_poll(struct stopwatch *watch, int64_t count)
{
    receive_batch(watch, count, recv_after_poll);
}

/* ---- a receive beside a thread that sleeps */

static void run_recv_beside(struct stopwatch *watch, int64_t count)
{
    have_second_thread();
    run_recv_alone(watch, count);
}

/* ---- many connections that have nothing */

static void open_idle(void)
{
    int listener = listen_on_any_port();
    poller = epoll_create1(0);
    for (int i = 0; i < IDLE; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = i};
        idle[i] = connect_to(bound_port(listener));
        check(accept(listener, NULL, NULL) >= 0, "accept");
        check(epoll_ctl(poller, EPOLL_CTL_ADD, idle[i], &event) == 0, "epoll_ctl");
    }
}

static void run_ask_each(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++)
        check(recv(idle[i % IDLE], data, SIZE, MSG_DONTWAIT) < 0 && errno == EAGAIN, "recv");
    stop(watch, count);
}

static void run_ask_poller(struct stopwatch *watch, int64_t count)
{
    struct epoll_event events[16];
    start(watch);
    for (int64_t done = 0; done < count; done += IDLE) {
        check(epoll_wait(poller, events, 16, 0) == 0, "epoll_wait");
        for (int i = 0; i < IDLE; i++)
            check(!flags[i], "nothing");
    }
    stop(watch, (count + IDLE - 1) / IDLE * IDLE);
}

/* ---- a header and its payload */

static void send_batch(struct stopwatch *watch, int64_t count, void (*send_one)(void))
{
    static char sink[(PAYLOAD + sizeof header) * BATCH];
    for (; count > 0; count -= BATCH) {
        start(watch);
        for (int i = 0; i < BATCH; i++)
            send_one();
        stop(watch, BATCH);
        receive_exactly(ends[1], sink, sizeof sink);
    }
}

static void send_copied(void)
{
    memcpy(scratch, header, sizeof header);
    memcpy(scratch + sizeof header, lines, PAYLOAD);
    check(send(ends[0], scratch, sizeof header + PAYLOAD, MSG_NOSIGNAL) == sizeof header + PAYLOAD, "send");
}

static void send_gathered(void)
{
    struct iovec parts[2] = {{header, sizeof header}, {lines, PAYLOAD}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    check(sendmsg(ends[0], &message, MSG_NOSIGNAL) == sizeof header + PAYLOAD, "sendmsg");
}

static void send_twice(void)
{
    check(send(ends[0], header, sizeof header, MSG_NOSIGNAL) == sizeof header, "send");
    check(send(ends[0], lines, PAYLOAD, MSG_NOSIGNAL) == PAYLOAD, "send");
}

static void run_send_copied(struct stopwatch *watch, int64_t count)
{
    send_batch(watch, count, send_copied);
}

static void run_send_gathered(struct stopwatch *watch, int64_t count)
{
    send_batch(watch, count, send_gathered);
}

static void run_send_twice(struct stopwatch *watch, int64_t count)
{
    send_batch(watch, count, send_twice);
}

/* ---- the end of a line of 64 bytes that ends in CR LF */

static void find_batch(struct stopwatch *watch, int64_t count, const char *(*find)(const char *at, size_t left))
{
    const char *end = lines + sizeof lines;
    start(watch);
    for (int64_t done = 0; done < count; done += BLOCK / SIZE)
        for (const char *at = lines; at < end;)
            at = find(at, (size_t)(end - at));
    stop(watch, (count + BLOCK / SIZE - 1) / (BLOCK / SIZE) * (BLOCK / SIZE));
}

static const char *find_last_byte(const char *at, size_t left)
{
    const char *from = at, *found;
    for (;;) {
        found = memchr(from, '\n', left - (size_t)(from - at));
        check(found != NULL, "memchr");
        if (found > at && found[-1] == '\r')
            return found + 1;
        from = found + 1;
    }
}

static const char *find_whole(const char *at, size_t left)
{
    const char *found = memmem(at, left, "\r\n", 2);
    check(found != NULL, "memmem");
    return found + 2;
}

static void run_find_last_byte(struct stopwatch *watch, int64_t count)
{
    find_batch(watch, count, find_last_byte);
}

static void run_find_whole(struct stopwatch *watch, int64_t count)
{
    find_batch(watch, count, find_whole);
}

/* ---- masking 1 KiB */

__attribute__((optimize("no-tree-vectorize"))) static void mask_bytes(char *to, const char *from, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (char)(from[i] ^ key[i & 3]);
}

static void run_mask_bytes(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        mask_bytes(scratch, lines, PAYLOAD);
        __asm__ volatile("" : : "r"(scratch) : "memory");
    }
    stop(watch, count);
}

static void run_mask_fused(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        dryad_mask(scratch, lines, PAYLOAD, key, 0);
        __asm__ volatile("" : : "r"(scratch) : "memory");
    }
    stop(watch, count);
}

static void run_mask_after_copy(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        memcpy(scratch, lines, PAYLOAD);
        __asm__ volatile("" : : "r"(scratch) : "memory");
        dryad_mask(scratch, scratch, PAYLOAD, key, 0);
        __asm__ volatile("" : : "r"(scratch) : "memory");
    }
    stop(watch, count);
}

/* ---- where in its page a receive buffer of 64 KiB begins */

static void run_recv_at(struct stopwatch *watch, int64_t count)
{
    for (; count > 0; count--) {
        check(send(ends[1], lines, sizeof lines, 0) == sizeof lines, "send");
        start(watch);
        check(recv(ends[0], target, sizeof lines, MSG_WAITALL) == sizeof lines, "recv");
        stop(watch, 1);
    }
}

static const struct {
    const char *name;
    void (*run)(struct stopwatch *watch, int64_t count);
} WAYS[] = {
    {"recv_alone", run_recv_alone},         {"recv_after_poll", run_recv_after_poll},
    {"recv_beside", run_recv_beside},       {"ask_poller", run_ask_poller},
    {"ask_each", run_ask_each},             {"send_copied", run_send_copied},
    {"send_gathered", run_send_gathered},   {"send_twice", run_send_twice},
    {"find_last_byte", run_find_last_byte}, {"find_whole", run_find_whole},
    {"mask_fused", run_mask_fused},         {"mask_after_copy", run_mask_after_copy},
    {"mask_bytes", run_mask_bytes},         {"recv_at_64", run_recv_at},
    {"recv_at_16", run_recv_at},            {"recv_at_6", run_recv_at},
};

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int room = 1 << 20;
    memset(lines, 'x', sizeof lines);
    for (int i = SIZE; i <= BLOCK; i += SIZE)
        memcpy(lines + i - 2, "\r\n", 2);
    target = aligned_alloc(PAGE, sizeof lines + PAGE);
    check(target != NULL, "aligned_alloc");
    if (strncmp(what, "recv_at_", 8) == 0)
        target += atoi(what + 8);
    connected_pair(ends);
    check(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0, "SO_SNDBUF");
    dryad_mask_choose();
    if (strncmp(what, "ask", 3) == 0)
        open_idle();
    for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++)
        if (strcmp(what, WAYS[i].name) == 0)
            return serve(WAYS[i].run);
    check(0, "techniques WHAT");
}

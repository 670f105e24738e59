/* recv_until PORT in_place|copied: records ending in a newline, found with memchr.
 * recv_until 0 SIZE:               records of SIZE bytes that are in memory already.
 *
 * "copied" hands every record out in the caller's buffer, as getdelim(3) does.
 */
#include "worker.h"

enum { MOST = 4 * 1024 * 1024, ONE_READ = 262144 };

static int fd = -1, copied;
static char *buffer, *record;
static size_t first, last, held_size;
static volatile size_t found;

static void next_record(void)
{
    size_t scanned = first;
    for (;;) {
        char *at = scanned < last ? memchr(buffer + scanned, '\n', last - scanned) : NULL;
        if (at != NULL) {
            size_t end = (size_t)(at - buffer) + 1;
            if (copied)
                memcpy(record, buffer + first, end - first);
            found = end - first;
            first = end;
            return;
        }
        if (first > 0) {
            memmove(buffer, buffer + first, last - first);
            last -= first;
            first = 0;
        }
        scanned = last;
        check(last < MOST, "no newline");
        ssize_t n = recv(fd, buffer + last, MOST - last < ONE_READ ? MOST - last : ONE_READ, 0);
        check(n > 0, "recv");
        last += (size_t)n;
    }
}

static void receive(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++)
        next_record();
    stop(watch, count);
}

static void in_memory(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        if (first == last)
            first = 0;
        next_record();
    }
    stop(watch, count);
}

int main(int argc, char **argv)
{
    check(argc == 3, "recv_until PORT MODE");
    buffer = malloc(MOST);
    record = malloc(MOST);
    check(buffer != NULL && record != NULL, "malloc");
    if (atoi(argv[1]) == 0) {
        held_size = (size_t)atoi(argv[2]);
        check(held_size > 0, "SIZE");
        last = 65536 / held_size * held_size;
        memset(buffer, 'x', last);
        for (size_t i = held_size; i <= last; i += held_size)
            buffer[i - 1] = '\n';
        return serve(in_memory);
    }
    fd = connect_to(atoi(argv[1]));
    copied = strcmp(argv[2], "copied") == 0;
    return serve(receive);
}

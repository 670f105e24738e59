/* tcp_echo PORT SIZE [promises]: round trips of SIZE bytes, one blocking send and one blocking recv each. */
#include "promises.h"

static int fd;
static size_t size;
static char data[65536];

static void run(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        check(send(fd, data, size, 0) == (ssize_t)size, "send");
        receive_exactly(fd, data, size);
    }
    stop(watch, count);
}

int main(int argc, char **argv)
{
    check(argc == 3 || argc == 4, "tcp_echo PORT SIZE [promises]");
    fd = connect_to(atoi(argv[1]));
    size = (size_t)atoi(argv[2]);
    check(size > 0 && size <= sizeof data, "SIZE");
    if (argc == 4)
        bound_waits(fd);
    return serve(run);
}

/* ws_handshakes PORT: connects, asks for the upgrade, reads the answer, and resets the connection. */
#include "websocket.h"

static int port;

static void run(struct stopwatch *watch, int64_t count)
{
    /* Ended by a reset, so that thousands of ports do not stay in TIME_WAIT. */
    struct linger reset = {1, 0};
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        int fd = connect_to(port);
        ask_for_upgrade(fd, port);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    stop(watch, count);
}

int main(int argc, char **argv)
{
    check(argc == 2, "ws_handshakes PORT");
    port = atoi(argv[1]);
    return serve(run);
}

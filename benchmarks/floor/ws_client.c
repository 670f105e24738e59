/* ws_client PORT SIZE text|binary [promises]: round trips of one message, one blocking send and as few recvs as it
 * takes. */
#include "websocket.h"

#include "promises.h"

static int fd, opcode;
static size_t size;
static char *payload, *outgoing, *incoming;

static void run(struct stopwatch *watch, int64_t count)
{
    struct frame frame;
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        size_t held = 0;
        send_exactly(fd, outgoing, build_masked(outgoing, opcode, payload, size));
        while (!parse_header(incoming, held, &frame) || held < frame.header + frame.size) {
            ssize_t n = recv(fd, incoming + held, size + LONGEST_HEADER - held, 0);
            check(n > 0, "recv");
            held += (size_t)n;
        }
        check(frame.opcode == opcode && frame.size == size, "the same message");
    }
    stop(watch, count);
    check(memcmp(incoming + header_size(size, 0), payload, size) == 0, "the same bytes");
}

int main(int argc, char **argv)
{
    check(argc == 4 || argc == 5, "ws_client PORT SIZE text|binary [promises]");
    dryad_mask_choose();
    fd = connect_to(atoi(argv[1]));
    size = (size_t)atoi(argv[2]);
    opcode = strcmp(argv[3], "text") == 0 ? TEXT : BINARY;
    payload = message_room(size);
    outgoing = message_room(size + LONGEST_HEADER);
    incoming = message_room(size + LONGEST_HEADER);
    memset(payload, 'x', size);
    ask_for_upgrade(fd, atoi(argv[1]));
    if (argc == 5) {
        bound_waits(fd);
        have_second_thread();
    }
    return serve(run);
}

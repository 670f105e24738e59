/* Sends back every message it receives, each as one frame; a process for each connection. */
#include "websocket.h"

#include "serving.h"

enum { ROOM = 4 * 1024 * 1024 };

static void echo(int fd)
{
    char *data = message_room(ROOM);
    size_t first = 0, last = 0;
    struct frame frame;
    if (!answer_handshake(fd))
        return;
    for (;;) {
        while (!parse_header(data + first, last - first, &frame) || last - first < frame.header + frame.size) {
            if (first > 0)
                memmove(data, data + first, last - first);
            last -= first;
            first = 0;
            check(last < ROOM, "a message that fits");
            ssize_t n = recv(fd, data + last, ROOM - last, 0);
            if (n <= 0)
                return;
            last += (size_t)n;
        }
        char *payload = data + first + frame.header;
        dryad_mask(payload, payload, frame.size, frame.key, 0);
        /* A server's header is shorter, for it has no key: it fits in front of the payload. */
        char *start_of_answer = payload - header_size(frame.size, 0);
        build_header(start_of_answer, frame.opcode == PING ? PONG : frame.opcode, frame.size, 0);
        send_exactly(fd, start_of_answer, header_size(frame.size, 0) + frame.size);
        if (frame.opcode == CLOSE)
            return;
        first += frame.header + frame.size;
        if (first == last)
            first = last = 0;
    }
}

int main(void)
{
    dryad_mask_choose();
    return serve_connections(echo);
}

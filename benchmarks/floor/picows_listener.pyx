# cython: language_level=3
"""An echo listener for picows, compiled: the fastest way to use that library."""

from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

clients = set()


cdef class Listener(WSListener):
    cpdef on_ws_connected(self, WSTransport transport):
        clients.add(transport)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        if frame.msg_type == WSMsgType.BINARY:
            transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())

    cpdef on_ws_disconnected(self, WSTransport transport):
        clients.discard(transport)

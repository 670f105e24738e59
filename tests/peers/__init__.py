"""Other people's WebSocket implementations, all behind one interface: conversation.py.

What is not on the machine is skipped, by name; with CI=true in the environment that is an error. To have them all:
`pip install '.[peers]'`; `npm ci` in js/, or in a folder of its own that DRYAD_NET_PEERS names; and Debian's packages
chromium, nginx, haproxy, stunnel4 and nodejs (20 or newer).
"""

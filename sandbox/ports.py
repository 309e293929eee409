"""Free TCP ports on loopback, for servers that must be told their port before they start."""

import socket

LOOPBACK = "127.0.0.1"


def free_port(preferred: int | None = None) -> int:
    """`preferred` where nobody listens on it, else any free port."""
    if preferred is not None and _is_free(preferred):
        return preferred
    with socket.create_server((LOOPBACK, 0)) as listener:
        port: int = listener.getsockname()[1]
        _keep_from_others(listener, port)
    return port


def _is_free(port: int) -> bool:
    """Nobody answers, and the port can be bound: macOS lets 127.0.0.1 be bound beside a listener on all addresses."""
    with socket.socket() as caller:
        if caller.connect_ex((LOOPBACK, port)) == 0:
            return False
    try:
        with socket.create_server((LOOPBACK, port)):
            return True
    except OSError:
        return False


def _keep_from_others(listener: socket.socket, port: int) -> None:
    """Leave a connection in TIME_WAIT, closed by the listening side.

    The kernel then gives this port to nobody who asks for any port; a server that names it (with SO_REUSEADDR, as all
    do) still gets it.
    """
    with socket.create_connection((LOOPBACK, port)) as caller:
        accepted, _ = listener.accept()
        accepted.close()
        caller.recv(1)

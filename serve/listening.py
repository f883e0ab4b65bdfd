"""Addresses at which a page is served."""

import ipaddress
import socket

from crnn_runtime import CrnnError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        CrnnError: the address is not this machine's or is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except (OSError, UnicodeError) as error:  # the second of a name that cannot be one
        reason = error.strerror if isinstance(error, OSError) else "not the name of a machine"
        raise CrnnError(
            f"cannot listen on {host} port {port}: {reason}: "
            "give another --host or --port (0 is any that is free)"
        ) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def local_names(host: str, listener: socket.socket) -> frozenset[str]:
    """The names that the address bar may show for a loopback listener; none for others.

    Args:
        host: what was listened on.
        listener: the socket.
    """
    if not is_loopback(listener):
        return frozenset()
    return frozenset({"localhost", "127.0.0.1", "[::1]", host.lower(), f"[{host.lower()}]"})


def address(host: str, listener: socket.socket) -> str:
    """Returns the address to type into a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"

"""As much of MongoDB's wire protocol as it takes to send one command: no driver has to be installed for the drills."""

import itertools
import socket
import struct

OP_MSG = 2013
_requests = itertools.count(1)


class MongoError(Exception):
    """The server answered that the command failed."""


def encode(document: dict) -> bytes:
    """BSON of a document of strings, numbers, booleans, nulls, lists and documents."""
    body = b"".join(_element(name, value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: str, value) -> bytes:
    key = name.encode() + b"\0"
    match value:
        case bool():
            return b"\x08" + key + (b"\1" if value else b"\0")
        case int() if -(2**31) <= value < 2**31:
            return b"\x10" + key + struct.pack("<i", value)
        case int():
            return b"\x12" + key + struct.pack("<q", value)
        case float():
            return b"\x01" + key + struct.pack("<d", value)
        case str():
            text = value.encode() + b"\0"
            return b"\x02" + key + struct.pack("<i", len(text)) + text
        case None:
            return b"\x0a" + key
        case dict():
            return b"\x03" + key + encode(value)
        case list():
            return b"\x04" + key + encode({str(index): each for index, each in enumerate(value)})
    raise TypeError(f"cannot be encoded: {type(value).__name__}")


def decode(data: bytes) -> dict:
    """The document. Identifiers, times and the like are kept as the bytes or numbers that they are made of."""
    return _document(data, 0)[0]


def _document(data: bytes, at: int) -> tuple[dict, int]:
    end = at + struct.unpack_from("<i", data, at)[0] - 1
    at, result = at + 4, {}
    while at < end:
        kind = data[at]
        stop = data.index(b"\0", at + 1)
        name = data[at + 1 : stop].decode()
        result[name], at = _value(kind, data, stop + 1)
    return result, end + 1


def _value(kind: int, data: bytes, at: int):
    fixed = {0x01: "<d", 0x09: "<q", 0x10: "<i", 0x11: "<Q", 0x12: "<q"}
    if kind in fixed:
        return struct.unpack_from(fixed[kind], data, at)[0], at + struct.calcsize(fixed[kind])
    if kind in (0x02, 0x05):
        size = struct.unpack_from("<i", data, at)[0]
        if kind == 0x05:
            return data[at + 5 : at + 5 + size], at + 5 + size
        return data[at + 4 : at + 3 + size].decode(), at + 4 + size
    if kind == 0x03:
        return _document(data, at)
    if kind == 0x04:
        document, after = _document(data, at)
        return list(document.values()), after
    if kind == 0x07:
        return data[at : at + 12], at + 12
    if kind == 0x08:
        return data[at] == 1, at + 1
    if kind in (0x0A, 0xFF, 0x7F):
        return None, at
    raise ValueError(f"unknown type of a BSON value: {kind:#x}")


def command(port: int, document: dict, seconds: float = 2) -> dict:
    """Sends a command to the server on this port of this machine and returns its answer."""
    body = struct.pack("<I", 0) + b"\0" + encode(document | {"$db": document.get("$db", "admin")})
    header = struct.pack("<iiii", 16 + len(body), next(_requests), 0, OP_MSG)
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(header + body)
        size = struct.unpack("<i", _exactly(connection, 4))[0]
        answer = decode(_exactly(connection, size - 4)[12 + 4 + 1 :])
    if answer.get("ok") != 1:
        raise MongoError(f"{next(iter(document))}: {answer.get('errmsg', answer)}")
    return answer


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("the server closed the connection")
        data += part
    return bytes(data)

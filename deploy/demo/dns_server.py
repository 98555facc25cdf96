"""A name server for the demo: every question about an address has the server's own as its answer (RFC 1035)."""

import socket
import struct

ADDRESS = socket.inet_aton("10.77.0.2")
TIME_TO_LIVE = 5


def answer(question: bytes) -> bytes:
    identification = question[:2]
    end = question.index(b"\0", 12) + 5  # the name, its type and its class
    header = identification + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0)
    record = struct.pack("!HHHIH", 0xC00C, 1, 1, TIME_TO_LIVE, len(ADDRESS)) + ADDRESS
    return header + question[12:end] + record


def main() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("10.77.0.2", 53))
    while True:
        question, sender = server.recvfrom(512)
        try:
            server.sendto(answer(question), sender)
        except ValueError:
            continue  # no question: no answer


if __name__ == "__main__":
    main()

"""
A DNS server, over UDP and TCP: "many.test" has more addresses than fit 512 bytes, "huge.test" more than fit a frame,
every other name in test has one.
"""
import selectors
import socket
import struct
import sys

ADDRESS = sys.argv[1]
COUNTS = {b'\x04many\x04test\0': 60, b'\x04huge\x04test\0': 200}


def answer(query):
    end = query.index(0, 12) + 5
    name = query[12:end - 4]
    asked, = struct.unpack('!H', query[end - 4:end - 2])
    known = name.endswith(b'\x04test\0')
    count = COUNTS.get(name, 1) if known and asked == 1 else 0
    records = b''.join(
        b'\xc0\x0c' + struct.pack('!HHIH4B', 1, 1, 60, 4, 192, 0, 2 + (99 + i) // 256, (99 + i) % 256) for i in range(count))
    flags = 0x8180 if known else 0x8183
    return query[:2] + struct.pack('!HHHHH', flags, 1, count, 0, 0) + query[12:end] + records


def size(query):
    """Of datagrams that the client takes: it says so in an OPT record, behind the question."""
    end = query.index(0, 12) + 5
    return struct.unpack('!H', query[end + 3:end + 5])[0] if query[10:12] != b'\0\0' else 512


udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((ADDRESS, 53))
tcp = socket.create_server((ADDRESS, 53))
selector = selectors.DefaultSelector()
selector.register(udp, selectors.EVENT_READ)
selector.register(tcp, selectors.EVENT_READ)
print('serving', flush=True)
while True:
    for key, _ in selector.select():
        if key.fileobj is udp:
            query, client = udp.recvfrom(65536)
            reply = answer(query)
            if len(reply) > size(query):
                reply = reply[:2] + b'\x83\x80' + query[4:6] + bytes(6) + query[12:query.index(0, 12) + 5]
            udp.sendto(reply, client)
        else:
            with tcp.accept()[0] as client:
                file = client.makefile('rwb')
                reply = answer(file.read(struct.unpack('!H', file.read(2))[0]))
                file.write(struct.pack('!H', len(reply)) + reply)
                file.flush()

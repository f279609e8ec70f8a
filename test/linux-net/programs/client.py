"""What the neighbour does to the guest's server: client.py WHAT ADDRESS [NUMBER]. Exit status 0 and a line if it went well."""
import hashlib
import os
import random
import socket
import struct
import sys
import time

ECHO, SINK, SOURCE, DATAGRAMS, SLOW = 7000, 7001, 7002, 7003, 7004
BLOCK = bytes((i * 2654435761 >> 13) & 255 for i in range(65536))
what, address = sys.argv[1:3]
number = int(sys.argv[3]) if len(sys.argv) > 3 else 0
PATIENCE = 45


def connect(port):
    return socket.create_connection((address, port), PATIENCE)


def read_all(sock):
    got = []
    while data := sock.recv(262144):
        got.append(data)
    return b''.join(got)


def exactly(sock, n):
    got = b''
    while len(got) < n:
        data = sock.recv(n - len(got))
        assert data, 'ended early'
        got += data
    return got


def upload(port=SINK):
    data = os.urandom(number)
    with connect(port) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).decode() == hashlib.sha256(data).hexdigest()


def download():
    with connect(SOURCE) as sock:
        sock.sendall(str(number).encode())
        got = read_all(sock)
    want = (BLOCK * (number // len(BLOCK) + 1))[:number]
    assert got == want, f'{len(got)} bytes of {number}'


def slow():
    """Both ends read slowly: windows close, and open again."""
    upload(SLOW)
    with socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET) as sock:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.connect((address, SOURCE))
        sock.sendall(str(number).encode())
        time.sleep(1)
        got = []
        while data := sock.recv(16384):
            got.append(data)
            time.sleep(0.002)
    assert b''.join(got) == (BLOCK * (number // len(BLOCK) + 1))[:number]


def crowd():
    socks = [connect(ECHO) for _ in range(number)]
    for turn in range(3):
        for i, sock in enumerate(socks):
            sock.sendall(b'%d of %d' % (i, turn))
        for i, sock in enumerate(socks):
            text = b'%d of %d' % (i, turn)
            assert exactly(sock, len(text)) == text
    for sock in socks:
        sock.close()


def row():
    for i in range(number):
        with connect(ECHO) as sock:
            sock.sendall(b'one')
            assert exactly(sock, 3) == b'one'
            if i % 3 == 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


def hold():
    socks = [connect(ECHO) for _ in range(number)]
    print('held', flush=True)
    sys.stdin.read()
    for sock in socks:
        sock.sendall(b'still')
        assert exactly(sock, 5) == b'still'


def datagrams():
    sock = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    for size in (1, 100, 1400, 1473, 9000, 40000, 65000):
        data = os.urandom(size)
        sock.sendto(data, (address, DATAGRAMS))
        assert sock.recv(65535) == data, size


def tap(hears=0):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(('tap0', hears))
    return sock


def ones(data):
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(source, protocol, payload):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, source, bytes([10, 9, 0, 2]))
    return head[:10] + struct.pack('!H', ones(head)) + head[12:] + payload


def tcp(source, port, flags, sequence=0, data=b'', to=ECHO, acknowledged=0, window=1024, options=b''):
    size = 20 + len(options)
    head = struct.pack('!HHIIBBHHH', port, to, sequence, acknowledged, size << 2, flags, window, 0, 0) + options
    pseudo = source + bytes([10, 9, 0, 2, 0, 6]) + struct.pack('!H', len(head) + len(data))
    return head[:16] + struct.pack('!H', ones(pseudo + head + data)) + head[18:] + data


ETHERNET = bytes.fromhex('020900000002') + bytes.fromhex('020900000009')


def flood():
    sock = tap()
    for i in range(number):
        source = bytes([10, 9, 0, 10 + i % 200])
        sock.send(ETHERNET + b'\x08\0' + ipv4(source, 6, tcp(source, 1024 + i % 60000, 2, random.getrandbits(32))))


def fuzz():
    seed = int(os.environ.get('SEED', '1'))
    chance = random.Random(seed)
    sock = tap()
    four = bytes([10, 9, 0, 77])
    arp = struct.pack('!HHBBH6s4s6s4s', 1, 0x800, 6, 4, 1, ETHERNET[6:], four, bytes(6), bytes([10, 9, 0, 2]))
    six = struct.pack('!IHBB', 0x60000000, 24, 58, 255) + bytes.fromhex('fd090000000000000000000000000077') + bytes.fromhex('fd090000000000000000000000000002')
    solicit = b'\x87\0\0\0\0\0\0\0' + bytes.fromhex('fd090000000000000000000000000002')
    good = [
        b'\x08\x06' + arp,
        b'\x08\0' + ipv4(four, 6, tcp(four, 4000, 2)),
        b'\x08\0' + ipv4(four, 6, tcp(four, 4000, 0x18, 1, b'data')),
        b'\x08\0' + ipv4(four, 17, struct.pack('!HHHH', 5000, DATAGRAMS, 12, 0) + b'data'),
        b'\x08\0' + ipv4(four, 1, b'\x08\0' + struct.pack('!HHH', ones(b'\x08\0\0\0\0\1\0\1data'), 1, 1) + b'data'),
        b'\x08\0' + ipv4(four, 1, b'\x03\x04\0\0\0\0\2\0' + ipv4(four, 6, tcp(four, 1, 16))[:28]),
        b'\x86\xdd' + six + solicit,
        b'\x86\xdd' + six[:6] + b'\x2c' + six[7:] + b'\x3a\0\0\1\0\0\0\5' + solicit,
        b'\x86\xdd' + six[:6] + b'\x00' + six[7:] + b'\x3a\0\1\4\0\0\0\0' + solicit,
    ]
    for _ in range(number):
        frame = bytearray(ETHERNET + chance.choice(good))
        for _change in range(chance.choice((0, 1, 1, 2, 4, 16))):
            frame[chance.randrange(12, len(frame))] = chance.getrandbits(8)
        if chance.random() < 0.1:
            frame = frame[:chance.randrange(14, len(frame) + 1)]
        if chance.random() < 0.1:
            frame += chance.randbytes(chance.randrange(1, 1400))
        if chance.random() < 0.5 and frame[12:14] == b'\x08\0' and len(frame) >= 34:
            frame[24:26] = b'\0\0'
            frame[24:26] = struct.pack('!H', ones(bytes(frame[14:34])))
        sock.send(bytes(frame[:1514]))


ETH_P_ALL = 3
SYN, RST, PSH, ACK = 2, 4, 8, 16
SACK_PERMITTED = bytes([2, 4, 1460 >> 8, 1460 & 255, 4, 2, 1, 1])


def sack(*blocks):
    return bytes([1, 1, 5, 2 + 8 * len(blocks)]) + b''.join(struct.pack('!II', *(x % 2 ** 32 for x in b)) for b in blocks)


class Peer:
    """The other end of one connection, made by hand: it says what the test wants it to say. Its numbers begin with 0."""
    address = bytes([10, 9, 0, 77])

    def __init__(self, port):
        self.sock = tap(ETH_P_ALL)
        self.sock.settimeout(PATIENCE)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.port = random.randrange(10000, 60000)
        self.to = port
        self.mine, self.theirs = random.getrandbits(32), 0
        arp = struct.pack('!HHBBH6s4s6s4s', 1, 0x800, 6, 4, 1, ETHERNET[6:], self.address, bytes(6), bytes([10, 9, 0, 2]))
        self.sock.send(ETHERNET + b'\x08\x06' + arp)
        self.say(SYN, options=SACK_PERMITTED)
        self.mine += 1
        self.theirs = self.hear(lambda flags, *_: flags & SYN)[1] + 1
        self.say(ACK)

    def say(self, flags, acknowledged=0, window=65535, options=b'', data=b''):
        numbers = self.mine % 2 ** 32, (self.theirs + acknowledged) % 2 ** 32
        segment = tcp(self.address, self.port, flags, numbers[0], data, self.to, numbers[1], window, options)
        self.sock.send(ETHERNET + b'\x08\0' + ipv4(self.address, 6, segment))
        self.mine += len(data)

    def hear(self, wanted):
        """The first segment that is wanted: flags, number of its first byte, bytes of data."""
        while True:
            frame = self.sock.recv(70000)
            if frame[12:14] != b'\x08\0' or frame[23] != 6 or frame[30:34] != self.address:
                continue
            segment = frame[34:14 + (struct.unpack('!H', frame[16:18])[0] or len(frame) - 14)]
            _, port, number, _, size, flags = struct.unpack('!HHIIBB', segment[:14])
            if port != self.port:
                continue
            heard = flags, (number - self.theirs) % 2 ** 32, len(segment) - (size >> 2)
            if wanted(*heard):
                return heard

    def until(self, number):
        """Data up to there has come."""
        self.hear(lambda _, first, size: size and first + size >= number)

    def next_data(self):
        return self.hear(lambda _, first, size: size)[1]


def tail():
    """
    Nothing tells of the loss of what was sent last: the guest sends its last segment once more before it takes everything
    as lost. A busy machine may be too late to see that, but not always.
    """
    segment = 16060
    for _ in range(20):
        peer = Peer(SOURCE)
        peer.say(ACK | PSH, data=b'100000')
        peer.until(segment)
        peer.say(ACK, segment, 2 * segment)
        peer.until(3 * segment)
        first = peer.next_data()
        assert first in (segment, 2 * segment), first
        if first == segment:
            peer.say(RST)
            continue
        # Now it knows what is missing.
        peer.say(ACK, segment, 2 * segment, sack((peer.theirs + first, peer.theirs + 3 * segment)))
        assert peer.next_data() == segment
        peer.say(RST)
        return
    raise AssertionError('never')


def lies():
    """A peer that acknowledges what it likes, in order or not, while it is sent data."""
    chance = random.Random(int(os.environ.get('SEED', '1')))
    frames = 0
    while frames < number:
        peer = Peer(SOURCE)
        peer.say(ACK | PSH, data=b'3000000')
        peer.sock.settimeout(0.002)
        acknowledged = highest = 0
        for _ in range(chance.randrange(2, 400)):
            try:
                _, first, size = peer.hear(lambda _, first, size: size)
                if first + size < 2 ** 31:
                    highest = max(highest, first + size)
            except TimeoutError:
                pass
            near = lambda: chance.choice((acknowledged, highest, chance.randrange(acknowledged, highest + 1))) + chance.choice(
                (0, 0, 0, 0, 1, -1, 1460, -1460, chance.randrange(-100000, 100000), chance.getrandbits(32)))
            if chance.random() < 0.3:
                acknowledged = chance.randrange(acknowledged, highest + 1)
            blocks = [(peer.theirs + near(), peer.theirs + near()) for _ in range(chance.choice((0, 0, 1, 1, 2, 3, 4)))]
            options = sack(*blocks) if blocks else b''
            if chance.random() < 0.05 and options:
                options = bytes(chance.getrandbits(8) if chance.random() < 0.2 else b for b in options)
            said = acknowledged if chance.random() < 0.8 else near()
            peer.say(ACK, said, chance.choice((65535, 65535, 65535, 30000, 1000, 0)), options)
            frames += 1
        peer.say(chance.choice((RST, RST | ACK)), acknowledged)


globals()[what]()
print('well', flush=True)

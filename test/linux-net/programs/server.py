"""What the guest serves: echo, a sink that answers with what it got, and a source. One selector; who reads slowly has a thread."""
import hashlib
import selectors
import socket
import sys
import threading
import time

ECHO, SINK, SOURCE, DATAGRAMS, SLOW = 7000, 7001, 7002, 7003, 7004
BLOCK = bytes((i * 2654435761 >> 13) & 255 for i in range(65536))
selector = selectors.DefaultSelector()


def listen(port):
    sock = socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=2048)
    sock.setblocking(False)
    if port == SLOW:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    selector.register(sock, selectors.EVENT_READ, accept)


def accept(sock, _):
    try:
        peer, _address = sock.accept()
    except (BlockingIOError, ConnectionError):
        return
    port = peer.getsockname()[1]
    if port == SLOW:
        threading.Thread(target=read_slowly, args=(peer,), daemon=True).start()
        return
    peer.setblocking(False)
    handler = {ECHO: Echo, SINK: Sink, SOURCE: Source}[port](peer)
    selector.register(peer, selectors.EVENT_READ, handler)


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.out = b''

    def __call__(self, sock, events):
        try:
            if events & selectors.EVENT_READ:
                data = sock.recv(262144)
                self.ended() if not data else self.came(data)
            self.flush()
        except BlockingIOError:
            self.wait()
        except ConnectionError:
            self.close()

    def flush(self):
        while self.out:
            self.out = self.out[self.sock.send(self.out):]
        self.wait()

    def wait(self):
        if self.sock.fileno() >= 0:
            want = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)
            selector.modify(self.sock, want, self)

    def close(self):
        if self.sock.fileno() >= 0:
            selector.unregister(self.sock)
            self.sock.close()

    def ended(self):
        self.close()


class Echo(Connection):
    def came(self, data):
        self.out += data


class Sink(Connection):
    def __init__(self, sock):
        super().__init__(sock)
        self.sum = hashlib.sha256()

    def came(self, data):
        self.sum.update(data)

    def ended(self):
        self.sock.setblocking(True)
        self.sock.sendall(self.sum.hexdigest().encode())
        self.close()


class Source(Connection):
    left = 0

    def came(self, data):
        self.left = int(data)
        self.more()

    def more(self):
        if not self.out and self.left > 0:
            self.out = BLOCK[:min(self.left, len(BLOCK))]
            self.left -= len(self.out)

    def flush(self):
        while self.out:
            self.out = self.out[self.sock.send(self.out):]
            self.more()
        self.close() if self.left == 0 else self.wait()


def read_slowly(sock):
    """What came, by its sum; the window closes again and again."""
    sock.setblocking(True)
    total = hashlib.sha256()
    time.sleep(1)
    while data := sock.recv(16384):
        total.update(data)
        time.sleep(0.002)
    sock.sendall(total.hexdigest().encode())
    sock.close()


def datagram(sock, _):
    data, peer = sock.recvfrom(65535)
    sock.sendto(data, peer)


for number in (ECHO, SINK, SOURCE, SLOW):
    listen(number)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind(('::', DATAGRAMS))
selector.register(udp, selectors.EVENT_READ, datagram)
print('serving', flush=True)
while True:
    for key, mask in selector.select():
        key.data(key.fileobj, mask)
sys.exit(1)

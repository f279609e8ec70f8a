"""A bad cable between two interfaces: bad_link.py SEED A B. It loses, doubles and reorders frames both ways, as the seed
says; at the end of its input it prints how many. Frames longer than the link's (offloads) are a mistake of the set-up."""
import random
import select
import socket
import sys
import time

LOSS, DOUBLE, HOLD = 0.01, 0.005, 0.02
HELD_FOR = 0.003  # seconds, or until so many others have gone by:
OVERTAKEN_BY = 8


class Way:
    def __init__(self, seed, source, target):
        self.chance = random.Random(seed)
        self.source, self.target = source, target
        self.held = []  # [when, how many go first, frame]
        self.passed = self.lost = self.doubled = self.reordered = 0

    def send(self, frame):
        try:
            self.target.send(frame)
        except OSError as error:
            if error.errno != 105:  # ENOBUFS: the queue is full, as a cable's may be
                raise

    def come(self):
        frame, (_, _, kind, _, _) = self.source.recvfrom(1 << 17)
        if kind == socket.PACKET_OUTGOING:
            return
        assert len(frame) <= 1514, f'a frame of {len(frame)} bytes'
        what = self.chance.random()
        if what < LOSS:
            self.lost += 1
        elif what < LOSS + HOLD:
            self.held.append([time.monotonic() + HELD_FOR, self.chance.randrange(1, OVERTAKEN_BY), frame])
        else:
            self.send(frame)
            self.passed += 1
            if what > 1 - DOUBLE:
                self.send(frame)
                self.doubled += 1
            for entry in self.held:
                entry[1] -= 1
        self.release()

    def release(self):
        now = time.monotonic()
        for entry in [entry for entry in self.held if entry[1] <= 0 or entry[0] <= now]:
            self.reordered += entry[1] <= 0
            self.send(entry[2])
            self.held.remove(entry)


def end(name):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
    sock.bind((name, 3))
    return sock


seed = int(sys.argv[1])
a, b = end(sys.argv[2]), end(sys.argv[3])
ways = [Way(2 * seed, a, b), Way(2 * seed + 1, b, a)]
print('ready', flush=True)
while True:
    waits = any(way.held for way in ways)
    ready, _, _ = select.select([a, b, sys.stdin], [], [], HELD_FOR if waits else None)
    if sys.stdin in ready:
        break
    for way in ways:
        if way.source in ready:
            way.come()
        way.release()
for way in ways:
    print(way.passed, way.lost, way.doubled, way.reordered, flush=True)

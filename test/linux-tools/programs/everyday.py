"""What scripts do all day; says only what does not depend on the machine."""

import asyncio
import bz2
import collections
import ctypes
import decimal
import hashlib
import io
import json
import lzma
import math
import mmap
import os
import pathlib
import pickle
import queue
import random
import re
import select
import shutil
import signal
import sqlite3
import ssl
import struct
import sys
import tempfile
import threading
import time
import zlib

out = []


def section(function):
    try:
        result = function()
    except Exception as error:  # what went wrong is the result, then
        result = f"{type(error).__name__}: {error}"
    print(f"{function.__name__}: {result}", flush=True)


@section
def threads():
    total, lock = 0, threading.Lock()

    def work(n):
        nonlocal total
        for i in range(2000):
            with lock:
                total += n

    pool = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    [t.start() for t in pool]
    [t.join() for t in pool]
    return total


@section
def producer_and_consumer():
    q, got = queue.Queue(maxsize=10), []

    def produce():
        for i in range(500):
            q.put(i)
        q.put(None)

    t = threading.Thread(target=produce)
    t.start()
    while (item := q.get()) is not None:
        got.append(item)
    t.join()
    return sum(got)


@section
def json_round_trip():
    data = {"a": [1, 2.5, None, True], "ü": "\u2603", "nested": [{"k": i} for i in range(100)]}
    return hashlib.sha256(json.dumps(json.loads(json.dumps(data)), sort_keys=True).encode()).hexdigest()


@section
def sqlite_memory_and_file():
    result = []
    for place in (":memory:", "/tmp/test.db"):
        db = sqlite3.connect(place)
        db.execute("create table t(a integer primary key, b text)")
        with db:
            db.executemany("insert into t(b) values (?)", [(f"row {i}",) for i in range(2000)])
        result.append(db.execute("select count(*), sum(a), max(b) from t where a % 7 = 0").fetchone())
        db.execute("create index i on t(b)")
        result.append(db.execute("select a from t where b = 'row 1234'").fetchone())
        db.close()
    db = sqlite3.connect("/tmp/test.db")
    db.execute("pragma journal_mode=wal")
    with db:
        db.execute("delete from t where a > 1000")
    result.append(db.execute("pragma integrity_check").fetchone())
    db.close()
    return result


@section
def compression():
    data = bytes(random.Random(5).choices(b"abcdef", k=200000))
    return [hashlib.md5(d(c(data))).hexdigest() == hashlib.md5(data).hexdigest()
            for c, d in ((zlib.compress, zlib.decompress), (bz2.compress, bz2.decompress), (lzma.compress, lzma.decompress))]


@section
def ssl_loads():
    return ssl.create_default_context().verify_mode.name


@section
def tree_of_files():
    shutil.copytree("/tree", "/tmp/copy")
    count = size = 0
    digest = hashlib.sha256()
    for folder, folders, files in sorted(os.walk("/tmp/copy")):
        for name in sorted(files):
            count += 1
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
            size += len(data)
            digest.update(name.encode() + data)
    shutil.rmtree("/tmp/copy")
    return count, size, digest.hexdigest(), os.path.exists("/tmp/copy")


@section
def temporary_files():
    with tempfile.TemporaryDirectory() as folder:
        p = pathlib.Path(folder)
        (p / "a").write_text("text")
        (p / "b").symlink_to("a")
        os.link(p / "a", p / "c")
        os.rename(p / "c", p / "d")
        with tempfile.NamedTemporaryFile(dir=folder) as f:
            f.write(b"x" * 100000)
            f.flush()
            length = os.stat(f.name).st_size
        return sorted(x.name for x in p.iterdir()), (p / "b").read_text(), os.stat(p / "a").st_nlink, length


@section
def mapped_file():
    with open("/tmp/mapped", "w+b") as f:
        f.truncate(100000)
        with mmap.mmap(f.fileno(), 0) as m:
            m[5000:5005] = b"hello"
            m.flush()
            f.seek(5000)
            return f.read(5), m.find(b"hello"), len(m)


@section
def signals():
    seen = []
    signal.signal(signal.SIGALRM, lambda *a: seen.append("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    time.sleep(0.1)
    signal.signal(signal.SIGUSR1, lambda *a: seen.append("usr1"))
    os.kill(os.getpid(), signal.SIGUSR1)
    return seen


@section
def polling():
    r, w = os.pipe()
    p = select.poll()
    p.register(r, select.POLLIN)
    e = select.epoll()
    e.register(r, select.EPOLLIN)
    before = p.poll(0), e.poll(0), select.select([r], [], [], 0)[0]
    os.write(w, b"x")
    return before, len(p.poll(0)), len(e.poll(0)), len(select.select([r], [], [], 0)[0])


@section
def event_loop():
    async def worker(n):
        await asyncio.sleep(0.001 * (5 - n))
        return n * n

    async def main():
        loop = asyncio.get_running_loop()
        in_thread = await loop.run_in_executor(None, lambda: threading.current_thread() is threading.main_thread())
        order = []
        async def put(n):
            await asyncio.sleep(0.01 * n)
            order.append(n)
        await asyncio.gather(put(3), put(1), put(2))
        return await asyncio.gather(*(worker(n) for n in range(5))), in_thread, order

    return asyncio.run(main())


@section
def numbers():
    decimal.getcontext().prec = 50
    return str(decimal.Decimal(2).sqrt()), math.gcd(2**200, 6**100), sum(x * x for x in range(100000)), repr(math.sin(1e10))


@section
def foreign_functions():
    libc = ctypes.CDLL(None)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    values = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
    libc.qsort(values, 5, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    return list(values)


@section
def surroundings():
    return os.getcwd(), os.uname().sysname, os.getuid(), sys.argv[1:], os.environ.get("HOME"), sorted(os.listdir("/dev"))[:3]


@section
def large_data():
    words = collections.Counter(re.findall(r"\w+", "the quick brown fox jumps over the lazy dog " * 20000))
    blob = pickle.dumps([struct.pack("<IQ", i, i * i) for i in range(50000)])
    return words.most_common(2), hashlib.sha1(blob).hexdigest()


@section
def memory_returns():
    chunks = [bytearray(1 << 20) for _ in range(100)]
    for c in chunks:
        c[::4096] = b"x" * 256
    del chunks
    return "freed"

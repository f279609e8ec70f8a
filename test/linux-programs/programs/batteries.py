"""What comes with python: prints what depends on neither time nor order."""
import asyncio
import collections
import ctypes
import decimal
import hashlib
import json
import os
import queue
import re
import sqlite3
import ssl
import tempfile
import threading
import time
import zlib

document = {'numbers': list(range(10)), 'text': 'grün', 'nested': {'a': None, 'b': [True, 1.5]}}
print(json.dumps(document, sort_keys=True), json.loads(json.dumps(document)) == document)

data = b''.join(hashlib.sha256(str(i).encode()).digest() for i in range(2000)) + bytes(100000)
packed = zlib.compress(data, 9)
print(len(packed), zlib.decompress(packed) == data, hashlib.blake2b(data).hexdigest()[:16])

work, results = queue.Queue(), queue.Queue()
def worker():
    while (item := work.get()) is not None:
        results.put(sum(x * x for x in range(item)))
threads = [threading.Thread(target=worker) for _ in range(16)]
for thread in threads: thread.start()
for item in range(500): work.put(item)
for _ in threads: work.put(None)
for thread in threads: thread.join()
print(sum(results.get() for _ in range(500)))

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, 'test.db')
    with sqlite3.connect(path) as db:
        db.execute('PRAGMA journal_mode=WAL')
        db.execute('CREATE TABLE numbers (n INTEGER PRIMARY KEY, square INTEGER)')
        db.executemany('INSERT INTO numbers VALUES (?, ?)', ((n, n * n) for n in range(5000)))
    with sqlite3.connect(path) as db:
        print(db.execute('SELECT count(*), sum(square) FROM numbers WHERE n % 7 = 3').fetchone(),
              db.execute('PRAGMA integrity_check').fetchone())
    print(sorted(os.listdir(folder)))

print(ssl.OPENSSL_VERSION, len(ssl.create_default_context().get_ciphers()) > 0)

async def chat():
    mailbox = asyncio.Queue()
    async def say(n):
        await asyncio.sleep(0.001 * (n % 5))
        await mailbox.put(n)
    await asyncio.gather(*(say(n) for n in range(200)))
    heard = sum([await mailbox.get() for _ in range(200)])
    answer = await asyncio.get_running_loop().run_in_executor(None, lambda: 42)
    try:
        await asyncio.wait_for(asyncio.sleep(60), 0.01)
    except asyncio.TimeoutError:
        return heard, answer, 'timeout'
print(asyncio.run(chat()))

libc = ctypes.CDLL(None)
print(libc.strlen(b'twelve chars'), decimal.Decimal(2).sqrt(), re.findall(r'\d+', 'a1b22c333'))
before = time.monotonic()
time.sleep(0.01)
print(time.monotonic() - before >= 0.01, collections.Counter('mississippi').most_common(2))

"""Asks a server of http_tornado.py, http.mjs or http.go: http_client.py ADDRESS. Exit status 0 and a line if all answers are right."""
import concurrent.futures
import hashlib
import http.client
import random
import sys

SIZES = (0, 1, 1000, 100_000, 5_000_000)
AT_ONCE = 20
REQUESTS = 25


def ask(connection, method, path, body=None):
    connection.request(method, path, body)
    response = connection.getresponse()
    assert response.status == 200, response.status
    return response.read()


def talk(seed):
    """Many requests on one connection, then one on another."""
    chance = random.Random(seed)
    kept = http.client.HTTPConnection(sys.argv[1], 8000, timeout=60)
    for _ in range(REQUESTS):
        size = chance.randrange(20_000)
        assert ask(kept, 'GET', f'/{size}') == b'x' * size, size
        data = chance.randbytes(size)
        assert ask(kept, 'POST', '/', data).decode() == hashlib.sha256(data).hexdigest(), size
    kept.close()
    once = http.client.HTTPConnection(sys.argv[1], 8000, timeout=60)
    assert ask(once, 'GET', '/7') == b'xxxxxxx'
    once.close()


single = http.client.HTTPConnection(sys.argv[1], 8000, timeout=60)
for size in SIZES:
    assert ask(single, 'GET', f'/{size}') == b'x' * size, size
    data = random.Random(size).randbytes(size)
    assert ask(single, 'POST', '/', data).decode() == hashlib.sha256(data).hexdigest(), size
with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
    for done in pool.map(talk, range(AT_ONCE)):
        pass
print('well')

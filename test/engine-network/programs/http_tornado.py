"""A server of tornado's: the sum of what is posted to it, and as many bytes as the path says."""
import asyncio
import hashlib

import tornado.web


class Handler(tornado.web.RequestHandler):
    def post(self, _):
        self.write(hashlib.sha256(self.request.body).hexdigest())

    def get(self, count):
        self.write(b'x' * int(count))


async def main():
    tornado.web.Application([(r'/(\d*)', Handler)]).listen(8000)
    print('serving', flush=True)
    await asyncio.Event().wait()


asyncio.run(main())

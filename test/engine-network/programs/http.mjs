// A server of node's: the sum of what is posted to it, and as many bytes as the path says.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  if (request.method === 'POST') {
    const sum = createHash('sha256');
    request.on('data', (data) => sum.update(data));
    request.on('end', () => response.end(sum.digest('hex')));
  } else {
    response.end('x'.repeat(Number(request.url.slice(1))));
  }
});
server.listen(8000, '::', () => console.log('serving'));

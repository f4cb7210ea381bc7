// A proxy that loses an answer, so that a client must repeat a request that was carried out.

import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';

/**
 * Forwards every request to `target`. The first one is carried out, and its answer is lost; the others wait for that.
 * `seen` holds the headers of each. Closed when the test `t` ends.
 */
export async function proxyThatKeepsTheFirstAnswer(t, target) {
  const seen = [];
  let firstAnswered;
  const firstAnswer = new Promise((resolve) => {
    firstAnswered = resolve;
  });
  const proxy = createServer(async (request, response) => {
    const isFirst = seen.push(request.headers) === 1;
    if (!isFirst) await firstAnswer;
    const forwarded = httpRequest(target + request.url, { method: request.method, headers: request.headers });
    request.pipe(forwarded);
    const [answer] = await once(forwarded, 'response');
    if (isFirst) {
      answer.resume().on('end', firstAnswered);
    } else {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    }
  });
  t.after(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  return { seen, url: `http://127.0.0.1:${proxy.address().port}` };
}

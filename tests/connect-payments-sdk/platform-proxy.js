// A proxy between the connector and its platform, which records the library's requests and can run code before them.

import { once } from 'node:events';
import { request as httpRequest } from 'node:http';

import { serve } from '../support/http.mjs';

export async function startPlatformProxy() {
  let target;
  const seen = [];
  const interferences = [];

  const proxy = await serve(async (request, response, body) => {
    const update = request.method === 'POST' && request.url.split('/')[3];
    const next = interferences.findIndex(({ paymentId }) => paymentId === update);
    if (next >= 0) await interferences.splice(next, 1)[0].act();

    const forwarded = httpRequest(target + request.url, { method: request.method, headers: request.headers });
    forwarded.end(body);
    const [answer] = await once(forwarded, 'response');
    seen.push({ method: request.method, path: request.url, status: answer.statusCode });
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });

  return {
    ...proxy,

    forwardTo(url) {
      target = url;
    },

    /** Records the connector's requests for a Payment from now on, such as `GET 200`. */
    watch(paymentId) {
      const from = seen.length;
      return () =>
        seen
          .slice(from)
          .filter(({ path }) => path.endsWith(`/payments/${paymentId}`))
          .map(({ method, status }) => `${method} ${status}`);
    },

    /** Runs `act` to its end before each of the next `times` updates of a Payment arrives at the platform. */
    beforeUpdates(paymentId, times, act) {
      for (let time = 0; time < times; time += 1) interferences.push({ paymentId, act });
    },
  };
}

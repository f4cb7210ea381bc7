// What stands between the connector and its platform, so that tests see what the library asks, and can get in between.

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

    /** `GET 200` and the like: what the connector asked of a Payment from now on. */
    watch(paymentId) {
      const from = seen.length;
      return () =>
        seen
          .slice(from)
          .filter(({ path }) => path.endsWith(`/payments/${paymentId}`))
          .map(({ method, status }) => `${method} ${status}`);
    },

    /** Has `act` run, and end, just before each of the next `times` updates of a Payment arrives at the platform. */
    beforeUpdates(paymentId, times, act) {
      for (let time = 0; time < times; time += 1) interferences.push({ paymentId, act });
    },
  };
}

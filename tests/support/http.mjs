// A small HTTP server for the npm suites' connectors, token services and proxies.

import { once } from 'node:events';
import { createServer } from 'node:http';

/** Serves on a free port of 127.0.0.1 until `stop`. `answer` gets the request, the response and the whole body. */
export async function serve(answer) {
  const server = createServer(async (request, response) => {
    const chunks = [];
    try {
      for await (const chunk of request) chunks.push(chunk);
      await answer(request, response, Buffer.concat(chunks).toString());
    } catch (error) {
      // A failed handler is an error for the caller, which must not wait for ever.
      if (!response.headersSent) send(response, 500, { code: 'General', message: String(error), statusCode: 500 });
    }
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Ends the server and closes its connections. */
    async stop() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

export function send(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

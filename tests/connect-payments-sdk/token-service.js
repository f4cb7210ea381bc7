// An OAuth 2.0 token service: client credentials, and introspection (RFC 7662).

import { randomUUID } from 'node:crypto';

import { send, serve } from '../support/http.mjs';

const LIFETIME_SECONDS = 3_600;

/** Serves `clients`, each with its `secret` and `scope`. `introspected` records who introspected whose token. */
export async function startTokenService(clients) {
  const tokens = new Map();
  const introspected = [];

  function issue(client) {
    const token = randomUUID();
    const expires = Math.floor(Date.now() / 1_000) + LIFETIME_SECONDS;
    tokens.set(token, { active: true, client_id: client, scope: clients[client].scope, exp: expires });
    return token;
  }

  const service = await serve((request, response, body) => {
    const caller = authenticated(request, clients);
    if (!caller) return send(response, 401, { statusCode: 401, error: 'invalid_client', message: 'Who are you?' });
    const form = new URLSearchParams(body);
    if (request.url === '/oauth/token' && form.get('grant_type') === 'client_credentials') {
      const answer = { access_token: issue(caller), token_type: 'Bearer', expires_in: LIFETIME_SECONDS };
      return send(response, 200, { ...answer, scope: clients[caller].scope });
    }
    if (request.url === '/oauth/introspect') {
      const known = tokens.get(form.get('token'));
      introspected.push({ by: caller, of: known?.client_id });
      return send(response, 200, known ?? { active: false });
    }
    return send(response, 404, { statusCode: 404, message: request.url });
  });

  return { ...service, introspected, issue };
}

/** The client with the credentials of a request. */
function authenticated({ headers: { authorization = '' } }, clients) {
  const [scheme, credentials = ''] = authorization.split(' ');
  const [client, secret] = Buffer.from(credentials, 'base64').toString().split(':');
  return scheme === 'Basic' && clients[client]?.secret === secret ? client : undefined;
}

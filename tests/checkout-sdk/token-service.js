// A token service: it issues opaque tokens (RFC 6749, 4.4), introspects them (RFC 7662), and records its callers.

import { randomUUID } from 'node:crypto';

import { serve } from '../support/http.mjs';

// The lifetime of the platform's tokens. The SDK takes a token for expired five minutes early.
const LIFETIME_MS = 172_800_000;

// Ids and secrets of API clients contain such characters.
const INTROSPECTOR = { clientId: 'payment-intents_1', clientSecret: 'a-Secret_of-its.own~' };

/** The units of `exp`: seconds in RFC 7662, milliseconds on the platform. */
export const IN_SECONDS = (ms) => Math.floor(ms / 1_000);
export const IN_MILLISECONDS = (ms) => ms;

/** Starts a token service on a free port of 127.0.0.1. `stop` closes its connections. */
export async function startTokenService() {
  const clients = new Map();
  const tokens = new Map();
  const introspectionsOfUnknown = [];

  const { url, stop } = await serve((request, response, body) => {
    const answer = (status, body) => {
      response.writeHead(status, { 'Content-Type': 'application/json' });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    const form = formOf(request, body);
    const { clientId, clientSecret } = basicOf(request);
    if (request.method !== 'POST' || form === undefined) return answer(400, refusal(400, 'invalid_request'));

    if (request.url === '/oauth/token') {
      const client = clients.get(clientId);
      if (client?.clientSecret !== clientSecret) return answer(401, refusal(401, 'invalid_client'));
      if (form.grant_type !== 'client_credentials') return answer(400, refusal(400, 'unsupported_grant_type'));
      const scope = form.scope ?? client.scopes.join(' ');
      if (!scope.split(' ').every((one) => client.scopes.includes(one))) {
        return answer(400, refusal(400, 'invalid_scope'));
      }
      client.tokenRequests.push({ form, headers: request.headers });
      const token = client.issue(scope);
      return answer(200, { access_token: token, token_type: 'Bearer', expires_in: LIFETIME_MS / 1_000, scope });
    }

    if (request.url === '/oauth/introspect') {
      if (clientId !== INTROSPECTOR.clientId || clientSecret !== INTROSPECTOR.clientSecret) {
        return answer(401, refusal(401, 'invalid_client'));
      }
      const known = tokens.get(form.token);
      if (!known) {
        introspectionsOfUnknown.push(form);
        return answer(200, { active: false });
      }
      const { client, ...granted } = known;
      client.introspections.push(form);
      if (client.inPlaceOfAnswer) return client.inPlaceOfAnswer(answer, response);
      return answer(200, client.says(granted));
    }

    return answer(404, refusal(404, 'not_found'));
  });

  return {
    url,

    /** The variables with which the service introspects here. */
    environment: {
      AUTH: 'introspection',
      AUTH_INTROSPECTION_URL: `${url}/oauth/introspect`,
      AUTH_CLIENT_ID: INTROSPECTOR.clientId,
      AUTH_CLIENT_SECRET: INTROSPECTOR.clientSecret,
    },

    /** Introspections of unknown tokens. */
    introspectionsOfUnknown,

    /**
     * An API client with its own credentials, so that tests do not see each other's requests. `lifetimeMs` is the real
     * lifetime of its tokens; `exp` is the unit of their expiry in answers, or null to leave it out.
     * `inPlaceOfAnswer(answer, response)` replaces the introspection answer.
     */
    client({ scopes, lifetimeMs = LIFETIME_MS, exp = IN_MILLISECONDS, inPlaceOfAnswer }) {
      const client = {
        clientId: randomUUID(),
        clientSecret: `${randomUUID()}_~`,
        scopes,
        inPlaceOfAnswer,
        /** Its tokens, in order. */
        tokens: [],
        /** The number of tokens that it was granted. */
        tokenRequests: [],
        /** The forms with which its tokens were introspected. */
        introspections: [],

        /** Issues a token that it fetched earlier. */
        issue(scope = scopes.join(' ')) {
          const token = `${randomUUID()}-._~+/==`;
          tokens.set(token, { client, scope, ends: Date.now() + lifetimeMs, isRevoked: false });
          client.tokens.push(token);
          return token;
        },

        revoke(token) {
          tokens.get(token).isRevoked = true;
        },

        /** The introspection answer of an expired token has nothing but `active`. */
        says({ scope, ends, isRevoked }) {
          if (isRevoked || Date.now() >= ends) return { active: false };
          return { active: true, scope, client_id: client.clientId, exp: exp?.(ends) };
        },
      };
      clients.set(client.clientId, client);
      return client;
    },

    stop,
  };
}

/** The fields of a form; none if the body is not a form. */
function formOf(request, body) {
  if (request.headers['content-type']?.split(';')[0] !== 'application/x-www-form-urlencoded') return undefined;
  return Object.fromEntries(new URLSearchParams(body));
}

/** The credentials in the header. They may be form-encoded (RFC 6749, 2.3.1); the SDK sends them as they are. */
function basicOf(request) {
  const [scheme, credentials = ''] = (request.headers.authorization ?? '').split(' ');
  if (scheme !== 'Basic') return {};
  const [clientId, clientSecret = ''] = Buffer.from(credentials, 'base64').toString().split(':');
  return { clientId: decodeURIComponent(clientId), clientSecret: decodeURIComponent(clientSecret) };
}

/** An error in the format of the platform's token service. */
function refusal(statusCode, error) {
  const message = `The token service says ${error}.`;
  return { statusCode, message, errors: [{ code: error, message }], error, error_description: message };
}

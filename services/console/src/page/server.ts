import { dead, type Redis } from '@headwater/streams';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { type Action, actionNamed } from '../actions/acting.ts';
import { CommandError } from '../errors.ts';
import { accountOf, didOf, type Lookup } from './account.ts';
import { type Asset, readAssets } from './assets.ts';
import { type Gatekeeper, isLoopback, type Visitor } from './auth.ts';
import { loginPage, statusPage } from './html.ts';
import type { Overview } from './overview.ts';
import { letterStreams } from './streams.ts';

export interface PageOptions {
  redis: Redis;
  lookup: Lookup;
  look: () => Promise<Overview>;
  keeper: Gatekeeper;
  act: (action: Action, given: Record<string, unknown>, visitor: Visitor) => Promise<{ message: string }>;
  onError: (error: unknown, path: string) => void;
}

const cookieName = 'headwater_session';
const pageOfLetters = 25;
/** Nothing but our own files, no frame around us, no address handed on. */
const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** A request that is refused, in words that its sender may read. */
class RefusedError extends Error {
  override name = 'RefusedError';
  statusCode: number;
  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** The page, its data and its actions. Listening is the caller's business. */
export function createPage(options: PageOptions): FastifyInstance {
  const app = fastify({ logger: false, bodyLimit: 64 * 1024, forceCloseConnections: true });
  const form = { parseAs: 'string' as const };
  app.addContentTypeParser('application/x-www-form-urlencoded', form, (_, body, done) => {
    done(null, Object.fromEntries(new URLSearchParams(String(body))));
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headers);
    refuseForeign(request, options.keeper);
  });
  app.setErrorHandler((error, request, reply) => answerError(error, request, reply, options));
  app.setNotFoundHandler(() => {
    throw new RefusedError(404, 'There is no such page.');
  });
  addEntrance(app, options);
  addViews(app, options);
  addActions(app, options);
  return app;
}

/**
 * A page elsewhere must not reach us through the operator's browser: not by a
 * name of its own that leads to loopback, and not by a form or a fetch.
 */
function refuseForeign({ headers, host, method }: FastifyRequest, keeper: Gatekeeper): void {
  if (keeper.isOpen && !isLoopback(host.replace(/:\d+$/, ''))) {
    throw new RefusedError(403, 'Without a token the page answers to names of this machine only.');
  }
  if (method === 'GET' || method === 'HEAD') return;
  const { origin } = headers;
  const fetchSite = headers['sec-fetch-site'];
  if (fetchSite !== undefined && fetchSite !== 'same-origin' && fetchSite !== 'none') {
    throw new RefusedError(403, 'The request comes from another site.');
  }
  if (origin !== undefined && new URL(origin === 'null' ? 'null:' : origin).host !== host) {
    throw new RefusedError(403, 'The request comes from another site.');
  }
}

function addEntrance(app: FastifyInstance, { keeper }: PageOptions): void {
  const assets = readAssets();
  app.get('/assets/:name', async (request, reply) => {
    const asset: Asset | undefined = assets.get((request.params as { name: string }).name);
    if (!asset) throw new RefusedError(404, 'There is no such file.');
    return reply.type(asset.type).header('cache-control', 'no-cache').send(asset.body);
  });
  app.get('/login', async (_, reply) => reply.type('text/html').send(loginPage()));
  app.post('/login', async (request, reply) => {
    const { token } = (request.body ?? {}) as { token?: unknown };
    const session = keeper.login(typeof token === 'string' ? token.trim() : '');
    if (typeof session === 'string') {
      const problem = session === 'wrong' ? 'This token is not known.' : 'Too many tries: wait for a minute.';
      return reply
        .code(session === 'wrong' ? 401 : 429)
        .type('text/html')
        .send(loginPage(problem));
    }
    return reply.header('set-cookie', cookie(request, session.cookie)).redirect('/', 303);
  });
  app.post('/logout', async (request, reply) =>
    reply.header('set-cookie', `${cookie(request, '')}; Max-Age=0`).redirect('/login', 303),
  );
}

function cookie({ headers }: FastifyRequest, value: string): string {
  const secure = headers['x-forwarded-proto'] === 'https' ? '; Secure' : '';
  return `${cookieName}=${value}; Path=/; HttpOnly; SameSite=Strict${secure}`;
}

function addViews(app: FastifyInstance, options: PageOptions): void {
  const { look, redis, lookup } = options;
  app.get('/', async (request, reply) => {
    const visitor = visitorOf(request, options);
    if (!visitor) return reply.redirect('/login', 303);
    return reply.type('text/html').send(statusPage(await look(), visitor));
  });
  app.get('/api/status', async (request) => {
    need(request, options);
    return look();
  });
  app.get('/api/dead/:stream', async (request) => {
    need(request, options);
    const { reason, after } = request.query as { reason?: string; after?: string };
    const choice = { ...(reason && { reason }), ...(after && { after }), count: pageOfLetters };
    return dead.list(redis, letterStream(request), choice);
  });
  app.get('/api/dead/:stream/:id', async (request) => {
    need(request, options);
    const letter = await dead.show(redis, letterStream(request), (request.params as { id: string }).id);
    if (!letter) throw new RefusedError(404, 'This letter is gone: put back or discarded.');
    return letter;
  });
  app.get('/api/account', async (request) => {
    need(request, options);
    const { q = '' } = request.query as { q?: string };
    const did = await didOf(q, lookup);
    if (did === null) throw new RefusedError(404, `Neither a DID nor a handle that names one: ${q}`);
    return accountOf(did, lookup);
  });
}

function addActions(app: FastifyInstance, options: PageOptions): void {
  app.post('/api/actions/:name', async (request) => {
    const visitor = need(request, options);
    if (visitor.role !== 'operator') throw new RefusedError(403, "This takes the operator's token.");
    const proof = request.headers['x-csrf-token'];
    if (!options.keeper.mayAct(visitor, typeof proof === 'string' ? proof : undefined)) {
      throw new RefusedError(403, 'The page is out of date: load it again.');
    }
    const action = actionNamed((request.params as { name: string }).name);
    if (!action) throw new RefusedError(404, 'There is no such action.');
    return options.act(action, (request.body ?? {}) as Record<string, unknown>, visitor);
  });
}

function letterStream({ params }: FastifyRequest): string {
  const { stream } = params as { stream: string };
  if (!letterStreams.some((name) => name === stream)) throw new RefusedError(404, 'There is no such stream.');
  return stream;
}

function need(request: FastifyRequest, options: PageOptions): Visitor {
  const visitor = visitorOf(request, options);
  if (!visitor) throw new RefusedError(401, 'A token is needed.');
  return visitor;
}

function visitorOf({ headers }: FastifyRequest, { keeper }: PageOptions): Visitor | undefined {
  const bearer = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
  const pairs = (headers.cookie ?? '').split(/; */).map((pair) => pair.split('='));
  return keeper.visitor({ bearer, cookie: pairs.find(([name]) => name === cookieName)?.[1] });
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply, options: PageOptions) {
  const { statusCode } = error as { statusCode?: number };
  const refused = error instanceof RefusedError || (statusCode !== undefined && statusCode < 500);
  if (error instanceof CommandError) return reply.code(409).send({ error: error.message });
  if (refused) return reply.code(statusCode ?? 400).send({ error: (error as Error).message });
  options.onError(error, request.url);
  return reply.code(500).send({ error: `It failed: ${(error as Error).message}` });
}

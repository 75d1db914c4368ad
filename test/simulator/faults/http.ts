import type { Call, Handler } from '../servers/http.ts';
import { error, json, type Reply, redirect, reply, send } from '../servers/reply.ts';
import { type CutAt, cutBody, resetInMiddle, sendBomb, sendEndlessly, sendSlowly } from './bodies.ts';
import { emptyPage, erringPage, garbledPage, inactivePage, loopingPage } from './lists.ts';
import type { Expectation } from './registry.ts';

/** Parameters of all HTTP faults together; each reads its own. */
export interface HttpParams {
  /** rate-limit: which headers come with the 429. */
  headers?: 'retry-after' | 'reset' | 'none' | 'html';
  /** rate-limit: how long to wait, in seconds. */
  seconds?: number;
  /** server-error, refuse */
  status?: number;
  /** slow-body */
  bytesPerSecond?: number;
  /** cut-body, reset-body */
  at?: CutAt;
  /** redirect */
  location?: string;
  /** late */
  ms?: number;
  /** list-error: the line of the list for which the host has no answer. */
  line?: number;
}

/** Answers a call badly; false where it has nothing to spoil. */
type HttpFault = (call: Call, handle: Handler, params: HttpParams) => boolean;

interface Entry {
  expect: Expectation;
  /** Only these methods. */
  methods?: readonly string[];
  run: HttpFault;
}

const GET_REPO = ['com.atproto.sync.getRepo'];
const LISTS = ['com.atproto.sync.listRepos'];

/** What can go wrong with a call, by name. */
export const HTTP_FAULTS = {
  /** 429, with or without a word on when to come back. */
  'rate-limit': { expect: 'retry', run: (call, _, params) => sends(call, rateLimited(params)) },
  'server-error': {
    expect: 'retry',
    run: (call, _, { status = 500 }) => sends(call, error(status, 'InternalServerError')),
  },
  /** The true answer, as from the other side of the world. */
  late: { expect: 'any', run: late },
  /** Accepts, and never answers. */
  hang: { expect: 'retry', run: () => true },
  'cut-connection': { expect: 'retry', run: ({ res }) => Boolean(res.socket?.destroy()) },
  /** 200 with a page for people. */
  'html-page': { expect: 'retry', run: (call) => sends(call, reply('<html>soon</html>', 'text/html')) },
  'slow-body': { expect: 'retry', run: slow },
  'endless-body': {
    expect: 'retry',
    methods: GET_REPO,
    run: spoils((call, r) => sendEndlessly(call.res, r)),
  },
  'cut-body': {
    expect: 'retry',
    methods: GET_REPO,
    run: spoils((call, r, p) => send(call.res, { ...r, body: cutBody(r.body, p.at ?? { block: 2 }) })),
  },
  'reset-body': {
    expect: 'retry',
    run: spoils((call, r, p) => resetInMiddle(call.res, r, p.at ?? { share: 0.5 })),
  },
  'empty-body': {
    expect: 'retry',
    methods: GET_REPO,
    run: spoils((call, r) => send(call.res, { ...r, body: Buffer.alloc(0) })),
  },
  'gzip-bomb': { expect: 'retry', run: spoils((call, r) => sendBomb(call.res, r)) },
  /** To the cloud's metadata service unless told. */
  redirect: {
    expect: 'retry',
    run: (call, _, p) => sends(call, redirect(p.location ?? 'http://169.254.169.254/latest/meta-data/')),
  },
  'redirect-loop': { expect: 'retry', run: (call) => sends(call, redirect(call.req.url ?? '/')) },
  /** 500 for every page that holds one line of the list. */
  'list-error': { expect: 'skip', methods: LISTS, run: erringPage },
  'list-empty-page': { expect: 'retry', methods: LISTS, run: emptyPage },
  'list-inactive-page': { expect: 'retry', methods: LISTS, run: inactivePage },
  /** The page's cursor is the one it was asked with, or an older one. */
  'list-loop': { expect: 'skip', methods: LISTS, run: loopingPage },
  /** Lines that are no repos, between true ones. */
  'list-garbage': { expect: 'drop', methods: LISTS, run: garbledPage },
  /** The directory: this DID is tombstoned. */
  tombstone: { expect: 'terminal', run: (call) => sends(call, json({ message: 'DID not available' }, 410)) },
  'not-registered': {
    expect: 'terminal',
    run: (call) => sends(call, json({ message: 'DID not registered' }, 404)),
  },
} as const satisfies Record<string, Entry>;

export type HttpFaultName = keyof typeof HTTP_FAULTS;

export function httpFault(name: HttpFaultName): Entry {
  return HTTP_FAULTS[name];
}

function sends(call: Call, answer: Reply): true {
  send(call.res, answer);
  return true;
}

/** Makes the true answer and sends it badly; errors are left as they are. */
function spoils(run: (call: Call, reply: Reply, params: HttpParams) => void): HttpFault {
  return (call, handle, params) => {
    const answer = handle(call);
    if (answer.status !== 200) send(call.res, answer);
    else run(call, answer, params);
    return true;
  };
}

function late(call: Call, handle: Handler, { ms = 100 }: HttpParams): true {
  setTimeout(() => send(call.res, handle(call)), ms);
  return true;
}

function slow(call: Call, handle: Handler, { bytesPerSecond = 1 }: HttpParams): true {
  sendSlowly(call.res, handle(call), bytesPerSecond);
  return true;
}

function rateLimited({ headers = 'retry-after', seconds = 1 }: HttpParams): Reply {
  if (headers === 'html') return reply('<html><h1>429 Too Many Requests</h1></html>', 'text/html', 429);
  const answer = error(429, 'RateLimitExceeded', 'Rate Limit Exceeded');
  const bare = { ...answer, headers: { 'content-type': 'application/json' } };
  if (headers === 'none') return bare;
  const reset = String(Math.ceil(Date.now() / 1000) + seconds);
  const more: Record<string, string> =
    headers === 'retry-after'
      ? { 'retry-after': String(seconds) }
      : { 'ratelimit-limit': '3000', 'ratelimit-remaining': '0', 'ratelimit-reset': reset };
  return { ...bare, headers: { ...bare.headers, ...more } };
}

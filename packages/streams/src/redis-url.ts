import { RedisUrlError } from './errors.ts';

/** Where a Redis URL points. `address` is the same without secrets, for messages. */
export interface RedisTarget {
  kind: 'single' | 'cluster' | 'sentinel' | 'path';
  nodes: { host: string; port: number }[];
  address: string;
  path?: string;
  username?: string;
  password?: string;
  db?: number;
  tls: boolean;
  /** Name of the master that the sentinels watch. */
  master?: string;
  sentinelUsername?: string;
  sentinelPassword?: string;
}

const form = /^(redis|rediss)(\+cluster|\+sentinel)?:\/\/(?:([^@/?]*)@)?([^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/;

/**
 * Reads a Redis URL. `rediss` means TLS.
 *
 * - `redis://USER:PASSWORD@HOST:PORT/DB`; `unix:///PATH` or `/PATH` for a socket
 * - `redis+cluster://HOST:PORT,HOST:PORT`, or several hosts or URLs behind commas
 * - `redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB?sentinel_username=…&sentinel_password=…`
 *
 * @throws RedisUrlError with a message without secrets
 */
export function parseRedisUrl(url: string): RedisTarget {
  const socket = /^(?:unix:\/\/)?(\/.+)$/.exec(url.trim());
  if (socket) return { kind: 'path', path: socket[1]!, address: socket[1]!, nodes: [], tls: false };
  const match = form.exec(joinUrls(url.trim()));
  if (!match) throw new RedisUrlError('not a Redis URL: expected redis://HOST:PORT or a form of it');
  const [, scheme, suffix, userinfo, hosts, path = '', query = ''] = match;
  const nodes = hosts!.split(',').map((node) => parseNode(node, suffix === '+sentinel' ? 26379 : 6379));
  const base = { nodes, address: hosts!, tls: scheme === 'rediss', ...credentials(userinfo) };
  if (suffix === '+sentinel') return sentinel(base, path, new URLSearchParams(query));
  const db = parseDb(path);
  if (suffix !== '+cluster' && nodes.length === 1) return { ...base, kind: 'single', db };
  if (db) throw new RedisUrlError('a Redis Cluster has no databases: leave the number out');
  return { ...base, kind: 'cluster' };
}

/** `redis://a,redis://b` → `redis://a,b`. Credentials are taken from the first. */
function joinUrls(url: string): string {
  return url.replace(/,\s*rediss?(?:\+cluster|\+sentinel)?:\/\/(?:[^@/,]*@)?/g, ',');
}

function parseNode(node: string, defaultPort: number): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(node.trim());
  const port = Number(match?.[3] ?? defaultPort);
  if (!match || port < 1 || port > 65535) throw new RedisUrlError(`not a host and port: ${node.trim()}`);
  return { host: (match[1] ?? match[2])!, port };
}

function credentials(userinfo: string | undefined): { username?: string; password?: string } {
  if (!userinfo) return {};
  const colon = userinfo.indexOf(':');
  const [user, password] = colon < 0 ? [userinfo, ''] : [userinfo.slice(0, colon), userinfo.slice(colon + 1)];
  return { ...(user && { username: decode(user) }), ...(password && { password: decode(password) }) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RedisUrlError('user name or password is not percent-encoded correctly');
  }
}

function parseDb(path: string): number | undefined {
  if (path === '') return undefined;
  if (!/^\d{1,5}$/.test(path)) throw new RedisUrlError(`not a database number: ${path}`);
  return Number(path);
}

function sentinel(base: Omit<RedisTarget, 'kind'>, path: string, query: URLSearchParams): RedisTarget {
  const [master, db = ''] = path.split('/');
  if (!master) throw new RedisUrlError('a Sentinel URL ends with the name of the master: …/MASTER');
  return {
    ...base,
    kind: 'sentinel',
    master,
    db: parseDb(db),
    sentinelUsername: query.get('sentinel_username') ?? undefined,
    sentinelPassword: query.get('sentinel_password') ?? undefined,
  };
}

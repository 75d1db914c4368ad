/**
 * The base URL of a host as an operator or a DID document names it:
 * `bsky.network`, `localhost:2583`, `https://…`, `http://…`, `ws://…`, `wss://…`.
 * Without a scheme it is https, except on a loopback name, where it is http.
 *
 * @throws TypeError when it is not a host or has another scheme
 */
export function hostUrl(host: string): URL {
  const text = host.trim();
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3);
  const protocol = scheme === undefined ? defaultProtocol(text) : protocols.get(scheme);
  if (protocol === undefined || rest === '') throw new TypeError(`not a host: ${host}`);
  const url = new URL(`${protocol}//${rest}`);
  if (url.username !== '' || url.password !== '') throw new TypeError('a host with a password is refused');
  // Setters parse the whole URL again.
  if (/[?#]/.test(rest)) {
    url.search = '';
    url.hash = '';
  }
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

const protocols = new Map([
  ['http', 'http:'],
  ['https', 'https:'],
  ['ws', 'http:'],
  ['wss', 'https:'],
]);

function defaultProtocol(host: string): string {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:|\/|$)/i.test(host) ? 'http:' : 'https:';
}

/**
 * The name of a host in keys and entries: as the operator gave it, without a
 * scheme where that is the default one and without a trailing slash.
 */
export function hostKey(host: string): string {
  return host
    .trim()
    .replace(/^(https|wss):\/\//i, '')
    .replace(/\/+$/, '');
}

/** The URL of a subscription (`com.atproto.sync.subscribeRepos`) at a host, with its query. */
export function socketUrl(host: string, nsid: string, query: Record<string, string | undefined> = {}): URL {
  const url = xrpcUrl(hostUrl(host), nsid, query);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}

/** The URL of a call at a host, as `hostUrl` gives it; parameters without a value are left out. */
export function xrpcUrl(base: URL, nsid: string, query: Record<string, string | number | undefined>): URL {
  let text = `${base.href}xrpc/${nsid}`;
  let mark = '?';
  for (const name in query) {
    if (query[name] === undefined) continue;
    text += `${mark}${name}=${encodeURIComponent(query[name])}`;
    mark = '&';
  }
  return new URL(text);
}

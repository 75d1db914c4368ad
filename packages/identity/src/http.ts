import { type XrpcClient, XrpcError } from '@headwater/xrpc';

/** One answer of a directory or a web host, whole and small. */
export interface HttpAnswer {
  status: number;
  body: string;
  /** What `Retry-After` or `RateLimit-Reset` ask for, in ms. */
  retryAfterMs?: number | undefined;
}

/**
 * The one thing that this package asks of HTTP. Rejects when there is no
 * answer (transport, deadline, too many bytes, an address that is not allowed);
 * a status is never an error here.
 */
export type HttpGet = (
  url: string,
  options: { maxBytes: number; timeoutMs: number; signal?: AbortSignal | undefined },
) => Promise<HttpAnswer>;

/**
 * HTTP by way of the process's XrpcClient, with its limits and its guard.
 *
 * @param trusted URLs that the operator named: they may be on private addresses
 */
export function httpOf(client: XrpcClient, trusted: readonly (string | undefined)[] = []): HttpGet {
  const origins = new Set(trusted.filter((url) => url !== undefined).map((url) => new URL(url).origin));
  return async (text, { maxBytes, timeoutMs, signal }) => {
    const url = new URL(text);
    const options = { maxBytes, deadlineMs: timeoutMs, signal, trusted: origins.has(url.origin) };
    try {
      const { status, body } = await client.get(url, options);
      return { status, body: await readAll(body) };
    } catch (err) {
      if (!(err instanceof XrpcError) || err.status === undefined) throw err;
      return { status: err.status, body: '', retryAfterMs: err.retryAfterMs };
    }
  };
}

async function readAll(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

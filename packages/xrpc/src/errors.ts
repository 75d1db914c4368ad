/**
 * What went wrong, as far as a caller acts on it:
 * - `rate-limited`: 429; wait, never count it as a failure
 * - `terminal`: the host says the repo is gone or withheld (`name` says which)
 * - `not-found`: 404 without such a name: no such method or page here
 * - `http`: any other status that is not a success
 * - `network`: no connection, or it broke
 * - `timeout`: no answer, or no data, or the deadline passed
 * - `too-slow`: below the floor on transfer speed
 * - `too-large`: more bytes than allowed, as sent or inflated
 * - `refused-address`: a private address, another scheme, too many redirects
 * - `bad-answer`: a success whose body is not what it should be
 */
export type XrpcErrorKind =
  | 'rate-limited'
  | 'terminal'
  | 'not-found'
  | 'http'
  | 'network'
  | 'timeout'
  | 'too-slow'
  | 'too-large'
  | 'refused-address'
  | 'bad-answer';

interface Details extends ErrorOptions {
  status?: number | undefined;
  errorName?: string | undefined;
  retryAfterMs?: number | undefined;
}

/** A call that did not succeed. An abort by the caller's signal is not one: its reason is thrown as it is. */
export class XrpcError extends Error {
  override name = 'XrpcError';
  kind: XrpcErrorKind;
  /** HTTP status, where there was an answer. */
  status: number | undefined;
  /** `error` of the answer's body: RepoNotFound, RepoTakendown, RepoSuspended, RepoDeactivated, … */
  errorName: string | undefined;
  /** How long the host asks us to wait, at most an hour. */
  retryAfterMs: number | undefined;
  constructor(
    kind: XrpcErrorKind,
    message: string,
    { status, errorName, retryAfterMs, ...rest }: Details = {},
  ) {
    super(message, rest);
    this.kind = kind;
    this.status = status;
    this.errorName = errorName;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Answers after which a repo is not asked for again until something changes. */
export const terminalNames: ReadonlySet<string> = new Set([
  'RepoNotFound',
  'RepoTakendown',
  'RepoSuspended',
  'RepoDeactivated',
]);

/** The error of an answer whose status is not a success; `body` may be JSON, HTML or nothing. */
export function errorOfAnswer(
  url: URL,
  status: number,
  body: string,
  retryAfterMs: number | undefined,
): XrpcError {
  const { error, message } = readErrorBody(body);
  const kind = kindOf(status, error);
  const said = [error, message].filter((s) => s !== undefined).join(': ');
  return new XrpcError(kind, `${url.host}${url.pathname} answered ${status}${said && ` ${said}`}`, {
    status,
    errorName: error,
    retryAfterMs,
  });
}

function kindOf(status: number, error: string | undefined): XrpcErrorKind {
  if (status === 429) return 'rate-limited';
  if (error !== undefined && terminalNames.has(error)) return 'terminal';
  return status === 404 ? 'not-found' : 'http';
}

function readErrorBody(body: string): { error?: string | undefined; message?: string | undefined } {
  try {
    const value = JSON.parse(body) as { error?: unknown; message?: unknown } | null;
    return { error: shortText(value?.error), message: shortText(value?.message) };
  } catch {
    return {};
  }
}

function shortText(value: unknown): string | undefined {
  return typeof value === 'string' ? value.slice(0, 200) : undefined;
}

/** Codes of undici, of Node and of zlib that are not plain network failures. */
const kindByCode = new Map<string, XrpcErrorKind>([
  ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
  ['UND_ERR_HEADERS_TIMEOUT', 'timeout'],
  ['UND_ERR_HEADERS_OVERFLOW', 'too-large'],
  ['ETIMEDOUT', 'timeout'],
  ['HPE_HEADER_OVERFLOW', 'too-large'],
  ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'too-large'],
  ['WS_ERR_INVALID_UTF8', 'bad-answer'],
]);

/** An exception of the transport as an XrpcError; one that is an XrpcError (or has one as its cause) stays it. */
export function errorOfTransport(url: URL, err: unknown): XrpcError {
  for (let e = err, depth = 0; e instanceof Error && depth < 4; e = e.cause, depth++) {
    if (e instanceof XrpcError) return e;
  }
  const code = (err as { code?: unknown } | null)?.code;
  const kind = typeof code === 'string' ? kindByCode.get(code) : undefined;
  const why = err instanceof Error && err.message !== '' ? err.message : String(code ?? err);
  return new XrpcError(kind ?? 'network', `${url.host}: ${why}`, { cause: err });
}

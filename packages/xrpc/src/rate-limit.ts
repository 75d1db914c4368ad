type Headers = Record<string, string | string[] | undefined>;

export interface RateLimit {
  limit: number | undefined;
  remaining: number | undefined;
  /** Time until the window ends, in milliseconds. */
  resetMs: number | undefined;
}

const longestMs = 3_600_000;

/** `RateLimit-Limit`, `-Remaining` and `-Reset`; any of them may be absent. */
export function rateLimitOf(headers: Headers, now = Date.now()): RateLimit {
  return {
    limit: numberOf(headers, 'ratelimit-limit'),
    remaining: numberOf(headers, 'ratelimit-remaining'),
    resetMs: resetOf(headers, now),
  };
}

/**
 * How long a host asks us to wait, in milliseconds (at most an hour: a host may
 * say anything): `Retry-After` in seconds or as a date, else `RateLimit-Reset`
 * where nothing remains.
 */
export function retryAfterOf(headers: Headers, now = Date.now()): number | undefined {
  const text = one(headers, 'retry-after');
  if (text !== undefined) {
    const ms = /^\s*\d+(\.\d+)?\s*$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
    if (!Number.isNaN(ms)) return clamp(ms);
  }
  const { remaining, resetMs } = rateLimitOf(headers, now);
  return remaining === undefined || remaining <= 0 ? resetMs : undefined;
}

/** The draft has seconds from now, the network's servers send seconds since 1970: told apart by size. */
function resetOf(headers: Headers, now: number): number | undefined {
  const value = numberOf(headers, 'ratelimit-reset');
  if (value === undefined) return undefined;
  if (value > 1e11) return clamp(value - now);
  return clamp(value > 1e8 ? value * 1000 - now : value * 1000);
}

function clamp(ms: number): number {
  return Math.min(longestMs, Math.max(0, Math.ceil(ms)));
}

function numberOf(headers: Headers, name: string): number | undefined {
  const text = one(headers, name);
  const value = text === undefined || text.trim() === '' ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function one(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

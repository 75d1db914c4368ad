import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

export type Role = 'viewer' | 'operator';

/** Who asks, and how it was shown: a cookie is sent by the browser unasked, so acting with it takes a second proof. */
export interface Visitor {
  role: Role;
  by: 'bearer' | 'session' | 'loopback';
  /** What has to come with every action that is not by bearer. */
  csrf: string;
}

export interface Tokens {
  viewerToken: string | undefined;
  operatorToken: string | undefined;
}

/** Length of a session, in ms. */
const sessionMs = 12 * 3_600_000;
/** Wrong tokens a minute, of all visitors together, above which none is looked at. */
const mostWrong = 20;
const minuteMs = 60_000;

/**
 * Who may look and who may act.
 *
 * Sessions are signed, not stored: they outlive a restart, hold in every copy
 * of the console, and end when a token changes. Without tokens (loopback only)
 * whoever reaches the port may do everything.
 */
export class Gatekeeper {
  readonly #tokens: [Role, Buffer][];
  readonly #key: Buffer;
  readonly #now: () => number;
  #wrong: number[] = [];

  constructor({ viewerToken, operatorToken }: Tokens, now = Date.now) {
    const given: [Role, string | undefined][] = [
      ['operator', operatorToken],
      ['viewer', viewerToken],
    ];
    this.#tokens = given.flatMap(([role, token]) => (token ? [[role, digest(token)]] : []));
    this.#key = this.isOpen ? randomBytes(32) : digest(`session ${operatorToken} ${viewerToken}`);
    this.#now = now;
  }

  /** No tokens are set. */
  get isOpen(): boolean {
    return this.#tokens.length === 0;
  }

  /** Whose token this is. Takes as long for a wrong one as for a right one. */
  roleOf(token: string): Role | undefined {
    const asked = digest(token);
    let found: Role | undefined;
    for (const [role, known] of this.#tokens) if (timingSafeEqual(asked, known)) found ??= role;
    return found;
  }

  /** A new session's cookie for a token; `wrong`, or `later` when too many were wrong. */
  login(token: string): { cookie: string } | 'wrong' | 'later' {
    const since = this.#now() - minuteMs;
    this.#wrong = this.#wrong.filter((at) => at > since);
    if (this.#wrong.length >= mostWrong) return 'later';
    const role = this.roleOf(token);
    if (role === undefined) {
      this.#wrong.push(this.#now());
      return 'wrong';
    }
    const body = `${role}.${this.#now() + sessionMs}.${randomBytes(12).toString('base64url')}`;
    return { cookie: `${body}.${this.#sign('session', body)}` };
  }

  /** Who shows this bearer token or this session cookie; undefined for nobody we know. */
  visitor(given: { bearer?: string | undefined; cookie?: string | undefined }): Visitor | undefined {
    if (this.isOpen) return { role: 'operator', by: 'loopback', csrf: this.#sign('csrf', 'loopback') };
    if (given.bearer !== undefined) {
      const role = this.roleOf(given.bearer);
      return role && { role, by: 'bearer', csrf: '' };
    }
    return given.cookie === undefined ? undefined : this.#session(given.cookie);
  }

  /** Whether an action's second proof is the visitor's own. */
  mayAct(visitor: Visitor, csrf: string | undefined): boolean {
    return visitor.by === 'bearer' || same(csrf ?? '', visitor.csrf);
  }

  #session(cookie: string): Visitor | undefined {
    const at = cookie.lastIndexOf('.');
    const body = cookie.slice(0, Math.max(0, at));
    if (!same(cookie.slice(at + 1), this.#sign('session', body))) return undefined;
    const [role, until] = body.split('.');
    if (Number(until) < this.#now()) return undefined;
    return { role: role as Role, by: 'session', csrf: this.#sign('csrf', body) };
  }

  #sign(purpose: string, text: string): string {
    return createHmac('sha256', this.#key).update(`${purpose} ${text}`).digest('base64url');
  }
}

/** Whether only this machine can reach an address. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|::1|\[::1\])$/.test(host);
}

function same(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

/** All digests are of one length, so comparing them says nothing of the tokens' own. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** One line says what is wrong with which variable; services print it and stop. */
export class SettingsError extends Error {
  override name = 'SettingsError';
  variable: string;
  constructor(variable: string, message: string) {
    super(`${variable}: ${message}`);
    this.variable = variable;
  }
}

export type Service = 'ingester' | 'repo-backfiller' | 'indexer' | 'console';

/** The one declaration of a setting: its name, type, default and description. */
export interface Setting<T> {
  env: string;
  type: string;
  doc: string;
  /** `undefined` with `required` unset means: may be absent. */
  default?: T | undefined;
  required?: boolean;
  /** Never logged; may be given as a file by `NAME_FILE`. */
  secret?: boolean;
  /** Shown in the documentation instead of the default's own text. */
  defaultText?: string;
  example?: string;
  /** @throws Error whose message says what the value should be */
  parse(text: string): T;
}

type Options<T> = Partial<Pick<Setting<T>, 'default' | 'required' | 'secret' | 'defaultText' | 'example'>>;

function setting<T, O extends Options<T>>(
  env: string,
  type: string,
  doc: string,
  options: O,
  parse: (text: string) => T,
): Setting<T> & O {
  return { env, type, doc, parse, ...options };
}

/** Free text. */
export function text<O extends Options<string>>(env: string, doc: string, options: O): Setting<string> & O {
  return setting(env, 'text', doc, options, (s) => s);
}

/** A whole number between `min` and `max`, underscores allowed (`1_000_000`). */
export function int<O extends Options<number> & { min?: number; max?: number }>(
  env: string,
  doc: string,
  options: O,
): Setting<number> & O {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = options;
  return setting(env, 'whole number', doc, options, (s) => {
    const n = /^\d[\d_]*$/.test(s) ? Number(s.replaceAll('_', '')) : Number.NaN;
    if (!(n >= min && n <= max)) throw new Error(`should be a whole number from ${min} to ${max}`);
    return n;
  });
}

const units = new Map([
  ['', 1],
  ['k', 2 ** 10],
  ['m', 2 ** 20],
  ['g', 2 ** 30],
]);

/** A number of bytes: `268435456`, `256MiB`, `1GB`, `512k` (all units are powers of 1024). */
export function bytes<O extends Options<number>>(env: string, doc: string, options: O): Setting<number> & O {
  return setting(env, 'bytes', doc, options, (s) => {
    const match = /^(\d+)\s*([kmg]?)(?:i?b)?$/i.exec(s);
    if (!match) throw new Error('should be a number of bytes such as 268435456, 256MiB or 1GiB');
    return Number(match[1]) * (units.get(match[2]!.toLowerCase()) ?? 1);
  });
}

/** `true`, `false`, `1`, `0`, `yes` or `no`. */
export function flag<O extends Options<boolean>>(env: string, doc: string, options: O): Setting<boolean> & O {
  return setting(env, 'true or false', doc, options, (s) => {
    if (/^(true|1|yes|on)$/i.test(s)) return true;
    if (/^(false|0|no|off)$/i.test(s)) return false;
    throw new Error('should be true or false');
  });
}

/** Values separated by commas; empty ones are left out. */
export function list<O extends Options<string[]>>(
  env: string,
  doc: string,
  options: O,
): Setting<string[]> & O {
  return setting(env, 'comma separated list', doc, options, (s) =>
    s
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== ''),
  );
}

/** One of a few words. */
export function oneOf<const W extends string, O extends Options<W>>(
  env: string,
  words: readonly W[],
  doc: string,
  options: O,
): Setting<W> & O {
  return setting(env, words.map((w) => `\`${w}\``).join(', '), doc, options, (s) => {
    if (!words.includes(s as W)) throw new Error(`should be one of ${words.join(', ')}`);
    return s as W;
  });
}

/** A URL with one of the given protocols (without the colon). */
export function url<O extends Options<string>>(
  env: string,
  protocols: readonly string[],
  doc: string,
  options: O,
): Setting<string> & O {
  return setting(env, 'URL', doc, options, (s) => {
    const protocol = /^([a-z][a-z0-9+.-]*):\/\//i.exec(s)?.[1]?.toLowerCase();
    if (!protocol || !protocols.includes(protocol)) {
      throw new Error(`should be a URL that starts with ${protocols.map((p) => `${p}://`).join(' or ')}`);
    }
    return s;
  });
}

import { readFileSync } from 'node:fs';
import { backfiller } from './backfiller.ts';
import { common, database, selection } from './common.ts';
import { statusPage } from './console.ts';
import { type Service, type Setting, SettingsError } from './declare.ts';
import { identity } from './identity.ts';
import { indexer } from './indexer.ts';
import { ingester } from './ingester.ts';

/** Every setting of the product, by the service that reads it. */
export const declarations = {
  ingester: { ...common, ...selection, ...identity, ...ingester },
  'repo-backfiller': { ...common, ...database, ...selection, ...identity, ...backfiller },
  indexer: { ...common, ...database, ...selection, ...identity, ...indexer },
  console: { ...common, ...database, ...selection, ...identity, ...statusPage },
} as const;

type Value<S> =
  S extends Setting<infer T>
    ? S extends { required: true } | { default: unknown }
      ? T
      : T | undefined
    : never;

export type SettingsOf<S extends Service> = {
  -readonly [K in keyof (typeof declarations)[S]]: Value<(typeof declarations)[S][K]>;
};
export type IngesterSettings = SettingsOf<'ingester'>;
export type BackfillerSettings = SettingsOf<'repo-backfiller'>;
export type IndexerSettings = SettingsOf<'indexer'>;
export type CommonSettings = Pick<IngesterSettings, keyof typeof common>;

type Env = Record<string, string | undefined>;
const ownPrefixes = /^(INGESTER|BACKFILLER|INDEXER|CONSOLE|HEADWATER)_/;

/**
 * Reads a service's settings. Variables of the other services may be present.
 *
 * @throws SettingsError naming the first variable that is missing, bad or unknown
 */
export function loadSettings<S extends Service>(service: S, env: Env = process.env): SettingsOf<S> {
  refuseUnknown(env);
  const out: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries<Setting<unknown>>(declarations[service])) {
    out[key] = read(setting, env);
  }
  return out as SettingsOf<S>;
}

function read(setting: Setting<unknown>, env: Env): unknown {
  const text = textOf(setting, env);
  if (text === undefined || text === '') {
    if (!setting.required) return setting.default;
    throw new SettingsError(setting.env, `is missing. ${setting.doc} Example: ${setting.example}`);
  }
  try {
    return setting.parse(text.trim());
  } catch (cause) {
    // A secret's value must not reach the log.
    const shown = setting.secret ? '' : `, is "${text}"`;
    throw new SettingsError(setting.env, `${(cause as Error).message}${shown}`);
  }
}

function textOf(setting: Setting<unknown>, env: Env): string | undefined {
  const file = setting.secret ? env[`${setting.env}_FILE`] : undefined;
  if (!file) return env[setting.env];
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SettingsError(`${setting.env}_FILE`, `can't be read: ${(cause as Error).message}`);
  }
}

function refuseUnknown(env: Env): void {
  const known = knownVariables();
  for (const name of Object.keys(env)) {
    if (!ownPrefixes.test(name) || known.has(name)) continue;
    const near = [...known].sort((a, b) => distance(a, name) - distance(b, name))[0]!;
    throw new SettingsError(name, `is not a setting of Headwater. Did you mean ${near}?`);
  }
}

/** Every environment variable that some service reads, `NAME_FILE` of the secret ones included. */
export function knownVariables(): Set<string> {
  const names = Object.values(declarations).flatMap((group) =>
    Object.values<Setting<unknown>>(group).flatMap((s) => (s.secret ? [s.env, `${s.env}_FILE`] : [s.env])),
  );
  return new Set(names);
}

/** Levenshtein distance, for the suggestion only. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export const root = new URL('../../', import.meta.url).pathname;

export interface Service {
  image: string;
  build?: { context: string; dockerfile: string };
  command?: string[];
  entrypoint?: string[];
  profiles?: string[];
  restart?: string;
  user?: string;
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  logging?: { driver: string; options: Record<string, string> };
  tmpfs?: string[];
  mem_limit?: string;
  stop_grace_period?: string;
  environment?: Record<string, string>;
  env_file?: { path: string; required: boolean }[];
  secrets?: string[];
  ports?: string[];
  volumes?: string[];
  depends_on?: Record<string, { condition: string }>;
  healthcheck?: { test: string[]; interval: string; timeout: string; retries: number };
}

export interface Compose {
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
  volumes: Record<string, unknown>;
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

export function readYaml<T>(path: string): T {
  return parse(readText(path), { merge: true }) as T;
}

export function readCompose(): Compose {
  return readYaml('docker-compose.prod.yml');
}

/** `45s`, `2m`, `500ms` in milliseconds. */
export function durationMs(text: string): number {
  const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text)!;
  return Number(number) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit as 'ms'];
}

/** `3gb`, `512m`, `1536m`, also `${NAME:-8g}` by its default, in bytes. */
export function sizeBytes(text: string): number {
  const plain = /^\$\{\w+:-(.*)\}$/.exec(text)?.[1] ?? text;
  const [, number, unit] = /^(\d+)([kmg])b?$/i.exec(plain)!;
  return Number(number) * { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[unit!.toLowerCase() as 'k'];
}

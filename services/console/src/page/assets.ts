import { readdirSync, readFileSync } from 'node:fs';

export interface Asset {
  type: string;
  body: string;
}

const types = new Map([
  ['css', 'text/css; charset=utf-8'],
  ['js', 'text/javascript; charset=utf-8'],
  ['svg', 'image/svg+xml'],
]);

/** The page's own files, read once; no other can be asked for. */
export function readAssets(): Map<string, Asset> {
  const folder = new URL('./assets/', import.meta.url);
  return new Map(
    readdirSync(folder).flatMap((name) => {
      const type = types.get(name.split('.').at(-1)!);
      return type ? [[name, { type, body: readFileSync(new URL(name, folder), 'utf8') }] as const] : [];
    }),
  );
}

import type { Label } from '@headwater/events';
import { MAJOR } from './cbor.ts';
import { writeHead } from './node-encoder.ts';

export const LABEL_VERSION = 1;

/** The specified fields in the order of DAG-CBOR: all names are of one length. `ver` is the version, nothing else. */
const FIELDS = ['cid', 'cts', 'exp', 'neg', 'src', 'uri', 'val', 'ver'] as const;
const LARGEST_HEAD = 5;

/**
 * What the signature of a label covers: the canonical CBOR (DRISL) of its
 * specified fields as they came, without `sig`.
 *
 * @param label of version 1, or without one
 */
export function unsignedLabel(label: Label): Buffer {
  const there = FIELDS.filter((name) => label[name] !== undefined);
  const parts = there.flatMap((name) => [...text(name), ...scalar(label[name]!)]);
  return Buffer.concat([head(MAJOR.map, there.length), ...parts]);
}

function scalar(value: string | number | boolean): Buffer[] {
  if (typeof value === 'string') return text(value);
  return [typeof value === 'number' ? head(MAJOR.unsigned, value) : head(MAJOR.simple, value ? 21 : 20)];
}

function text(value: string): Buffer[] {
  const bytes = Buffer.from(value);
  return [head(MAJOR.text, bytes.length), bytes];
}

function head(major: number, argument: number): Buffer {
  const bytes = Buffer.alloc(LARGEST_HEAD);
  return bytes.subarray(0, writeHead(bytes, 0, major, argument));
}

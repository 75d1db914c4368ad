import { hash } from 'node:crypto';
import { encode } from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';

/** A record as lexicon JSON: links as `$link`, bytes as `$bytes`. */
export type Json = Record<string, unknown>;

const DAG_CBOR = 0x71;
const RAW = 0x55;
const SHA2_256 = 0x12;

/** The bytes of a record, as a repo holds them, encoded by the reference library. */
export function recordBytes(json: Json): Uint8Array {
  return encode(toIpld(json));
}

/** The record as it comes out of a repo: its keys in the order of CBOR. */
export function canonical(json: Json): Json {
  return inCborOrder(json) as Json;
}

function inCborOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inCborOrder);
  if (typeof value !== 'object' || value === null) return value;
  const keys = Object.keys(value).sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
  return Object.fromEntries(keys.map((key) => [key, inCborOrder((value as Json)[key])]));
}

/** The CID of dag-cbor bytes. */
export function cborCid(bytes: Uint8Array): string {
  return cidOf(DAG_CBOR, bytes);
}

/** A blob reference whose CID is the hash of `content`. */
export function blob(content: string, mimeType: string): Json {
  const bytes = new TextEncoder().encode(content);
  return { $type: 'blob', ref: { $link: cidOf(RAW, bytes) }, mimeType, size: bytes.length };
}

function cidOf(codec: number, bytes: Uint8Array): string {
  const digest = createDigest(SHA2_256, new Uint8Array(hash('sha256', bytes, 'buffer')));
  return CID.createV1(codec, digest).toString();
}

function toIpld(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toIpld);
  if (typeof value !== 'object' || value === null) return value;
  const { $link, $bytes } = value as { $link?: unknown; $bytes?: unknown };
  if (typeof $link === 'string') return CID.parse($link);
  if (typeof $bytes === 'string') return new Uint8Array(Buffer.from($bytes, 'base64'));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => v !== undefined)
      .map(([k, v]) => [k, toIpld(v)]),
  );
}

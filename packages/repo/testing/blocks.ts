/** Blocks, trees and CARs put together by hand, right or wrong, with the reference's CBOR. */
import { Secp256k1Keypair } from '@atproto/crypto';
import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { sha256 } from './arbitraries.ts';

export const DID = 'did:plc:ragtjsm2j2vknwkz3zp4oxrd';
export const REV = '3l4qpz7ajrc2a';
const keypair = await Secp256k1Keypair.create();
export const KEY = keypair.did();

export interface Block {
  cid: CID;
  bytes: Uint8Array;
}

export interface Entry {
  key: string;
  value: CID;
  tree?: CID | null;
  /** Overrides the right length of the prefix. */
  prefix?: number;
}

export function blockOf(bytes: Uint8Array, codec: number = dagCbor.code): Block {
  return { cid: CID.createV1(codec, Digest.create(0x12, sha256(bytes))), bytes };
}

export function put(blocks: Block[], value: unknown): CID {
  const block = blockOf(dagCbor.encode(value));
  blocks.push(block);
  return block.cid;
}

/** A node of a tree; prefixes are the right ones unless an entry says otherwise. */
export function putNode(blocks: Block[], left: CID | null, entries: Entry[], more: object = {}): CID {
  let before = '';
  const e = entries.map(({ key, value, tree = null, prefix }) => {
    let shared = 0;
    while (shared < before.length && before[shared] === key[shared]) shared++;
    const p = prefix ?? shared;
    before = key;
    return { k: Buffer.from(key, 'latin1').subarray(p), p, t: tree, v: value };
  });
  return put(blocks, { e, l: left, ...more });
}

export async function putCommit(blocks: Block[], data: CID, fields: object = {}): Promise<CID> {
  const unsigned = { did: DID, version: 3, data, rev: REV, prev: null, ...fields };
  return put(blocks, { sig: await keypair.sign(dagCbor.encode(unsigned)), ...unsigned });
}

export function varint(n: number): Buffer {
  const bytes: number[] = [];
  for (; n >= 128; n = Math.floor(n / 128)) bytes.push((n % 128) | 128);
  return Buffer.from([...bytes, n]);
}

export function section(...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([varint(body.length), body]);
}

export function header(roots: CID[], more: object = {}): Buffer {
  return section(dagCbor.encode({ version: 1, roots, ...more }));
}

export function carOf(root: CID, blocks: Block[]): Buffer {
  return Buffer.concat([header([root]), ...blocks.map(({ cid, bytes }) => section(cid.bytes, bytes))]);
}

/** A repo of this tree, whatever it is. */
export async function repoOf(blocks: Block[], tree: CID): Promise<Buffer> {
  const root = await putCommit(blocks, tree);
  return carOf(root, [blocks.at(-1)!, ...blocks.slice(0, -1)]);
}

/** Splits a CAR into its header and its sections. */
export function sectionsOf(car: Uint8Array): Buffer[] {
  const sections: Buffer[] = [];
  for (let at = 0; at < car.length; ) {
    let length = 0;
    let size = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = car[at + size++]!;
      length += (byte & 127) * shift;
      if (byte < 128) break;
    }
    sections.push(Buffer.from(car.subarray(at, at + size + length)));
    at += size + length;
  }
  return sections;
}

/** Layer of a key, by the definition: pairs of zero bits at the beginning of its hash. */
export function layer(key: string): number {
  const bits = [...sha256(Buffer.from(key))].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return Math.floor(bits.indexOf('1') / 2);
}

/** `count` keys of a layer, ascending. */
export function keysAtLayer(wanted: number, count: number, collection = 'app.bsky.feed.post'): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) {
    const key = `${collection}/k${String(i).padStart(7, '0')}`;
    if (layer(key) === wanted) keys.push(key);
  }
  return keys;
}

/** Inputs of each kind: true ones from the generators, changed; and attacks that no change of a true one would find. */
import { BlockMap, blocksToCarFile } from '@atproto/repo';
import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import {
  type Block,
  DID,
  keysAtLayer,
  put,
  putNode,
  repoOf,
  varint,
} from '../../packages/repo/testing/blocks.ts';
import { type CommitBody, commitBody, frame, link } from '../../packages/repo/testing/frames.ts';
import { randomRecords } from '../../packages/repo/testing/network.ts';
import { buildRepo, cidForRecord } from '../../packages/repo/testing/reference.ts';
import { mutateBytes, mutateValue, type Random } from './mutate.ts';
import type { Kind } from './targets.ts';

export type Inputs = Record<Kind, (random: Random) => Buffer | Promise<Buffer>>;

/** The makers of inputs over a corpus of this seed. */
export async function makeInputs(seed: number): Promise<Inputs> {
  const records = [...randomRecords(seed, 60)];
  const values = records.map(([, record]) => Buffer.from(dagCbor.encode(record)));
  const bodies = await commits(records);
  const frames = bodies.map((body) => frame('#commit', body));
  const cars = [Buffer.from((await buildRepo(records, DID)).car), ...(await attacks())];
  const entries = records.map(([path, record]) => entryOf(path, record));
  return {
    frames: (r) =>
      r.int(2) === 0
        ? mutateBytes(r.pick(frames), r.pick(frames), r)
        : encoded(
            () => frame(r.pick(['#commit', '#sync', '#labels', '#account']), mutateValue(r.pick(bodies), r)),
            r.pick(frames),
          ),
    cars: (r) => (r.int(3) === 0 ? mutateBytes(r.pick(cars), r.pick(cars), r) : changedTree(values, r)),
    cbor: (r) => mutateBytes(r.pick(values), r.pick(values), r),
    entries: (r) =>
      r.int(3) === 0
        ? mutateBytes(Buffer.from(JSON.stringify(r.pick(entries))), Buffer.from('{"a":['), r)
        : Buffer.from(
            JSON.stringify(
              r.int(3) === 0 ? [mutateValue(r.pick(entries), r)] : mutateValue(r.pick(entries), r),
            ),
          ),
  };
}

function encoded(make: () => Buffer, otherwise: Buffer): Buffer {
  try {
    return make();
  } catch {
    // The reference library does not write everything that JavaScript can hold.
    return otherwise;
  }
}

/** A tree of two nodes, one of them changed, its links and hashes put right: no hash gives it away. */
async function changedTree(values: Buffer[], r: Random): Promise<Buffer> {
  const blocks: Block[] = [];
  const value = put(blocks, dagCbor.decode(r.pick(values)));
  const low = keysAtLayer(0, 6).map((key) => ({ key, value }));
  const child = putNode(blocks, null, low.slice(0, 4));
  const bytes = mutateBytes(Buffer.from(blocks.at(-1)!.bytes), Buffer.from(blocks[0]!.bytes), r);
  const changed = put(blocks, encodable(bytes) ?? r.pick([{}, { e: [], l: null }, { e: [], l: child }]));
  const top = keysAtLayer(1, 40).find((key) => key > low[3]!.key)!;
  const root = putNode(blocks, r.pick([child, changed, changed]), [{ key: top, value }]);
  return await repoOf(blocks, root);
}

function encodable(bytes: Buffer): unknown {
  try {
    return dagCbor.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Shared subtrees that make a naive walk endless, a chain thousands deep, lengths beyond all bytes. */
async function attacks(): Promise<Buffer[]> {
  const bomb = await nested(24, (child) => [child, child]);
  const deep = await nested(5000, (child) => [child, null]);
  return [
    bomb,
    deep,
    Buffer.concat([bomb.subarray(0, 200), varint(2 ** 32), bomb.subarray(200)]),
    Buffer.concat([bomb.subarray(0, 100), Buffer.alloc(12, 0xff)]),
    Buffer.alloc(300_000, 0x80),
  ];
}

async function nested(depth: number, links: (child: CID) => [CID | null, CID | null]): Promise<Buffer> {
  const blocks: Block[] = [];
  const v = put(blocks, { $type: 'app.bsky.feed.post', text: '' });
  let node = putNode(blocks, null, [{ key: keysAtLayer(0, 1)[0]!, value: v }]);
  for (; depth > 0; depth--) {
    const [l, t] = links(node);
    const k = Buffer.from(`app.bsky.feed.post/${depth}`);
    node = put(blocks, { e: [{ k, p: 0, t, v }], l });
  }
  return await repoOf(blocks, node);
}

/** First commits of small repos, as bodies of their events. */
async function commits(records: [string, object][]): Promise<CommitBody[]> {
  const bodies: CommitBody[] = [];
  for (let n = 0; n < 8; n++) {
    const some = records.slice(n * 5, n * 5 + 5);
    const { repo, storage } = await buildRepo(some, DID);
    const blocks = new BlockMap();
    blocks.set(repo.cid, (await storage.getBytes(repo.cid))!);
    blocks.addMap(storage.blocks);
    const ops = await Promise.all(
      some.map(async ([path, record]) => ({
        action: 'create',
        path,
        cid: link(await cidForRecord(record as never)),
      })),
    );
    const data = { cid: repo.cid, rev: repo.commit.rev, relevantBlocks: blocks };
    const body = await commitBody(undefined, data as never, DID, ops);
    bodies.push({ ...body, blocks: await blocksToCarFile(repo.cid, blocks) });
  }
  return bodies;
}

function entryOf(path: string, record: object) {
  const [collection, rkey] = path.split('/') as [string, string];
  const cid = 'bafyreiehxpuhtr5f6v4eu4byjo2j7kkrhjvd7psmfu4imnpdzb3bdqb7vy';
  const at = { seq: 1, time: '2026-01-01T00:00:00.000Z', did: DID, commit: cid, rev: '3l4qpz7ajrc2a' };
  return { type: 'create', ...at, collection, rkey, cid, record: asJson(record), since: null };
}

/** Lexicon JSON: links as `$link`. */
function asJson(value: unknown): unknown {
  const cid = CID.asCID(value);
  if (cid) return { $link: cid.toString() };
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(asJson);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, asJson(inner)]));
}

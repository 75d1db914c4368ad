/** Commits of one operation, made by the reference's tree or put together by hand. */
import { MemoryBlockstore, MST } from '@atproto/repo';
import type { CID } from 'multiformats/cid';
import { type CommitEvent, readCommit } from '../src/commit-event.ts';
import { RepoError } from '../src/errors.ts';
import { type CommitFrame, decodeFrame } from '../src/frame.ts';
import { type Block, carOf, DID, keysAtLayer, put, putCommit, REV } from './blocks.ts';
import { frame, link, type OpBody } from './frames.ts';
import { random } from './random.ts';

const records: Block[] = [];
export const values = Array.from({ length: 5 }, (_, n) => put(records, { $type: 'app.bsky.feed.post', n }));

/** One operation that made a tree of another. */
export interface Step {
  nodes: Block[];
  data: CID;
  prevData: CID;
  op: OpBody;
}

export async function eventOf({ nodes, data, prevData, op }: Step): Promise<CommitEvent> {
  const blocks = [...nodes, ...records];
  const commit = await putCommit(blocks, data);
  const body = { seq: 7, repo: DID, time: '2026-01-02T03:04:05.678Z', rev: REV, since: null };
  const bytes = frame('#commit', { ...body, commit, blocks: carOf(commit, blocks), ops: [op], prevData });
  return readCommit(decodeFrame(bytes) as CommitFrame);
}

/** What a check says, or the reason why it refuses. */
export function outcome(check: () => string): string {
  try {
    return check();
  } catch (error) {
    if (error instanceof RepoError) return error.reason;
    throw error;
  }
}

async function rootOf(tree: MST): Promise<CID> {
  return link(await tree.getPointer())!;
}

/** Random operations on a tree of the reference's that grows to `most` keys and shrinks again. */
export async function* steps(seed: number, most: number, count: number): AsyncGenerator<Step> {
  const { int, pick } = random(seed);
  const present = new Map<string, CID>();
  let tree = await MST.create(new MemoryBlockstore());
  for (let n = 0; n < count; n++) {
    const old = present.size > 0 && int(10) > (n < count / 2 ? 6 : 1);
    const path = old || present.size >= most ? pick([...present.keys()]) : newPath(int, pick);
    const prev = present.get(path);
    const isDelete = prev !== undefined && int(3) > 0;
    const cid = isDelete ? null : pick(values.filter((v) => v !== prev));
    const prevData = await rootOf(tree);
    if (prev === undefined) tree = await tree.add(path, cid as never);
    else tree = isDelete ? await tree.delete(path) : await tree.update(path, cid as never);
    if (cid === null) present.delete(path);
    else present.set(path, cid);
    // One that was emptied keeps the layer that it had, and grows wrong from there.
    if (present.size === 0) tree = await MST.create(new MemoryBlockstore());
    const { blocks } = await tree.getUnstoredBlocks();
    const nodes = blocks.entries().map((entry) => ({ cid: link(entry.cid)!, bytes: entry.bytes }));
    const action = prev === undefined ? 'create' : isDelete ? 'delete' : 'update';
    yield {
      nodes,
      data: await rootOf(tree),
      prevData,
      op: { action, path, cid, ...(prev && { prev }) },
    };
  }
}

const high = [1, 2, 3].flatMap((wanted) => keysAtLayer(wanted, 12, 'app.bsky.feed.like'));

export function newPath(int: (n: number) => number, pick: <T>(list: readonly T[]) => T): string {
  // Some are prefixes of others; and some are high, so that nodes are cut and joined.
  if (int(5) === 0) return pick(high);
  return `app.bsky.${pick(['feed.like', 'graph.block'])}/${'a'.repeat(int(3))}${int(500)}`;
}

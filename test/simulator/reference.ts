import { decodeFirst } from '@atcute/cbor';
import { BlockMap, MemoryBlockstore, MST, readCarWithRoot } from '@atproto/repo';
import { decode } from '@ipld/dag-cbor';
import type { CID } from 'multiformats/cid';

// What the simulator's tests compare it with: the reference libraries.

export interface DecodedFrame {
  header: { op: number; t?: string };
  body: Record<string, unknown>;
}

/** A frame by @ipld/dag-cbor, which does not tell where the first of two values ends. */
export function decodeFrame(bytes: Uint8Array): DecodedFrame {
  const [, rest] = decodeFirst(bytes);
  const header = decode<DecodedFrame['header']>(bytes.subarray(0, bytes.length - rest.length));
  return { header, body: decode(rest) };
}

interface CommitOp {
  action: string;
  path: string;
  cid: CID | null;
  prev?: CID;
}

/** Undoes a commit's operations on the blocks it carries, by @atproto/repo's tree; returns the root before. */
export async function invert(body: Record<string, unknown>): Promise<string> {
  const { root, blocks } = await readCarWithRoot(body['blocks'] as Uint8Array);
  const storage = new MemoryBlockstore(blocks);
  const commit = (await storage.readRecord(root)) as { data: Parameters<typeof MST.load>[1] };
  let tree = MST.load(storage, commit.data);
  for (const op of (body['ops'] as CommitOp[]).toReversed()) {
    if (op.action === 'create') tree = await tree.delete(op.path);
    else if (op.action === 'update') tree = await tree.update(op.path, op.prev as never);
    else tree = await tree.add(op.path, op.prev as never);
  }
  return String(await tree.getPointer());
}

/** Root of the tree with these leaves, by @atproto/repo. */
export async function rootOf(leaves: Iterable<[string, CID]>): Promise<string> {
  let tree = await MST.create(new MemoryBlockstore(new BlockMap()));
  for (const [path, cid] of leaves) tree = await tree.add(path, cid as never);
  return String(await tree.getPointer());
}

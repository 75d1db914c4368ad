/** Frames of the firehose made from the reference library's commits. */
import { blocksToCarFile, type CommitData, type Repo } from '@atproto/repo';
import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';

export interface OpBody {
  action: string;
  path: string;
  cid: CID | null;
  prev?: CID | null;
}

export function frame(t: string | undefined, body: unknown, header: object = { op: 1, t }): Buffer {
  return Buffer.concat([dagCbor.encode(header), dagCbor.encode(body)]);
}

/** A CID of any other copy of multiformats as one of ours. */
export function link(cid: { toString(): string } | null | undefined): CID | null {
  return cid == null ? null : CID.parse(cid.toString());
}

/** The body of a `#commit`, right in every respect. */
export async function commitBody(before: Repo | undefined, commit: CommitData, did: string, ops: OpBody[]) {
  return {
    seq: 7,
    repo: did,
    time: '2026-01-02T03:04:05.678Z',
    rev: commit.rev,
    since: before?.commit.rev ?? null,
    commit: link(commit.cid)!,
    blocks: await blocksToCarFile(commit.cid, commit.relevantBlocks),
    ops,
    blobs: [],
    tooBig: false,
    rebase: false,
    ...(before === undefined ? {} : { prevData: link(before.commit.data)! }),
  };
}

export type CommitBody = Awaited<ReturnType<typeof commitBody>>;

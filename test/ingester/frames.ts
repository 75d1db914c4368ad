import { Secp256k1Keypair } from '@atproto/crypto';
import { BlockMap, blocksToCarFile, MemoryBlockstore, Repo, WriteOpAction } from '@atproto/repo';
import { encode } from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { didOf } from '../support/repos.ts';
import type { SentFrame } from './fake-host.ts';

/** A frame of a subscription, written with the reference CBOR library. */
export function frame(t: string, body: Record<string, unknown>): Uint8Array {
  return Buffer.concat([encode({ op: 1, t }), encode(body)]);
}

export function errorFrame(error: string, message?: string): Uint8Array {
  return Buffer.concat([encode({ op: -1 }), encode({ error, ...(message && { message }) })]);
}

export interface Op {
  action: 'create' | 'update' | 'delete';
  collection: string;
  rkey: string;
  record?: Record<string, unknown>;
}

/** A repo whose commits are real ones, made and signed by the reference library. */
export class Author {
  readonly did: string;
  readonly key: Secp256k1Keypair;
  #repo: Repo;

  private constructor(did: string, key: Secp256k1Keypair, repo: Repo) {
    this.did = did;
    this.key = key;
    this.#repo = repo;
  }

  static async create(name: string, key?: Secp256k1Keypair): Promise<Author> {
    const signer = key ?? (await Secp256k1Keypair.create());
    const did = didOf(name);
    return new Author(did, signer, await Repo.create(new MemoryBlockstore(), did, signer));
  }

  /** The same account with another key from now on. */
  with(key: Secp256k1Keypair): Author {
    return new Author(this.did, key, this.#repo);
  }

  get rev(): string {
    return this.#repo.commit.rev;
  }

  /** Commits the operations and gives the body of the `#commit`; `change` may spoil it. */
  async commitBody(seq: number, ops: Op[]): Promise<Record<string, unknown>> {
    const prevData = this.#repo.commit.data;
    const prevs = await Promise.all(
      ops.map(({ collection, rkey }) => this.#repo.data.get(`${collection}/${rkey}`)),
    );
    const writes = ops.map(({ action, collection, rkey, record }) => ({
      action: { create: WriteOpAction.Create, update: WriteOpAction.Update, delete: WriteOpAction.Delete }[
        action
      ],
      collection,
      rkey,
      record,
    })) as Parameters<Repo['formatCommit']>[0];
    const commit = await this.#repo.formatCommit(writes, this.key);
    this.#repo = await this.#repo.applyCommit(commit);
    const cids = await Promise.all(
      ops.map(({ collection, rkey }) => this.#repo.data.get(`${collection}/${rkey}`)),
    );
    return {
      seq,
      time: new Date().toISOString(),
      repo: this.did,
      rev: commit.rev,
      since: commit.since,
      commit: link(commit.cid),
      prevData: link(prevData),
      blocks: await carOf(commit.cid, commit.relevantBlocks),
      ops: ops.map(({ action, collection, rkey }, i) => ({
        action,
        path: `${collection}/${rkey}`,
        cid: action === 'delete' ? null : link(cids[i]!),
        ...(action !== 'create' && { prev: link(prevs[i]!) }),
      })),
      blobs: [],
      rebase: false,
      tooBig: false,
    };
  }

  async commit(seq: number, ops: Op[]): Promise<SentFrame> {
    return { seq, bytes: frame('#commit', await this.commitBody(seq, ops)) };
  }

  post(seq: number, text = `post ${seq}`): Promise<SentFrame> {
    return this.commit(seq, [postOp(seq, text)]);
  }

  /** The cheapest event. */
  async identity(seq: number): Promise<SentFrame> {
    const body = { seq, did: this.did, time: new Date().toISOString(), handle: `h${seq}.test` };
    return { seq, bytes: frame('#identity', body) };
  }

  /** The body of a `#sync` of the present commit. */
  async syncBody(seq: number): Promise<Record<string, unknown>> {
    const blocks = new BlockMap();
    blocks.set(this.#repo.cid, (await this.#repo.storage.getBytes(this.#repo.cid))!);
    return {
      seq,
      time: new Date().toISOString(),
      did: this.did,
      rev: this.rev,
      blocks: await carOf(this.#repo.cid, blocks),
    };
  }
}

export function postOp(n: number | string, text = `post ${n}`): Op {
  const rkey = `p${n}`;
  const record = { $type: 'app.bsky.feed.post', text, createdAt: '2026-01-01T00:00:00Z' };
  return { action: 'create', collection: 'app.bsky.feed.post', rkey, record };
}

/** Two versions of the CID class are around; only its text is common to both. */
function link(cid: { toString(): string }): CID {
  return CID.parse(cid.toString());
}

async function carOf(root: unknown, blocks: BlockMap): Promise<Uint8Array> {
  return Buffer.from(await blocksToCarFile(root as Parameters<typeof blocksToCarFile>[0], blocks));
}

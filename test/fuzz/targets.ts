/** What reads each kind of input. A typed refusal is an answer; anything else that leaves a reader is a bug. */
import { tmpdir } from 'node:os';
import { decodeEvents, decodeLabels, decodeRepoJob, InvalidEntryError } from '@headwater/events';
import {
  cborToJson,
  checkCommit,
  decodeCbor,
  decodeFrame,
  decodeLabelFrame,
  openRepo,
  RepoError,
  readCommit,
  readSync,
  recordToJson,
} from '@headwater/repo';
import { CopyData } from '../../packages/database/src/copy-data.ts';
import { RowPacker } from '../../packages/database/src/packed-rows.ts';
import { prepare } from '../../packages/database/src/prepare.ts';
import { DID } from '../../packages/repo/testing/blocks.ts';

export const kinds = ['frames', 'cars', 'cbor', 'entries'] as const;
export type Kind = (typeof kinds)[number];

export const targets: Record<Kind, (bytes: Buffer) => Promise<void> | void> = {
  frames(bytes) {
    refusable(() => readFrame(bytes));
    refusable(() => decodeLabelFrame(bytes));
  },
  async cars(bytes) {
    try {
      await using repo = await openRepo([bytes], { tmpDir: tmpdir(), did: DID, maxBytes: 64 << 20 });
      for (const record of repo.records()) refusable(() => record.json());
    } catch (err) {
      if (!(err instanceof RepoError)) throw err;
    }
  },
  cbor(bytes) {
    for (const read of [decodeCbor, cborToJson, recordToJson]) {
      const text = refusable(() => read(bytes));
      if (typeof text === 'string' && read !== decodeCbor) JSON.parse(text);
    }
  },
  /** An entry's one field, as bytes and as a text; what it holds goes the way to the rows of COPY. */
  entries(bytes) {
    const text = bytes.toString('utf8');
    for (const name of ['event', 'events']) {
      for (const value of [bytes, text]) {
        const fields = { [name]: value };
        const events = refusable(() => decodeEvents(fields));
        if (events) rowsOf(events);
        refusable(() => decodeLabels(fields));
      }
    }
    refusable(() => decodeRepoJob({ repo: text }));
  },
};

function readFrame(bytes: Buffer): void {
  const frame = decodeFrame(bytes);
  if (frame.type === '#sync') readSync(frame);
  if (frame.type !== '#commit') return;
  const commit = readCommit(frame);
  for (const op of commit.ops) refusable(() => op.action !== 'delete' && op.json());
  checkCommit(commit);
}

function rowsOf(events: ReturnType<typeof decodeEvents>): void {
  const packer = new RowPacker();
  for (const { ops } of prepare(events, { keep: () => true, now: 1.78e12, packer })) {
    for (const { version } of ops) if (version) new CopyData().add([...version.rows, version.record]);
  }
}

function refusable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (err) {
    if (err instanceof RepoError || err instanceof InvalidEntryError) return undefined;
    throw err;
  }
}

import { Worker } from 'node:worker_threads';
import { RepoError, verifySignature } from '@headwater/repo';

/** A signature to be checked. */
export interface SignatureJob {
  /** did:key */
  key: string;
  /** What it covers. */
  unsigned: Uint8Array;
  sig: Uint8Array;
}

/** What the thread is sent: all bytes of a batch in one piece, with the lengths of each job's parts. */
export interface SignatureBatch {
  id: number;
  keys: string[];
  lengths: Uint32Array;
  bytes: Uint8Array;
}

/** One byte a job: 1 for a good signature. */
export interface SignatureAnswer {
  id: number;
  good: Uint8Array;
}

/** So few signatures (some 100 µs each) are checked sooner than a thread is asked. */
const fewJobs = 4;

/**
 * Checks signatures in a thread of its own, so that a batch of them does not
 * hold up sockets and timers. Where the thread fails they are checked here.
 */
export class SignatureChecker implements AsyncDisposable {
  #worker: Worker | undefined;
  readonly #pending = new Map<
    number,
    { jobs: readonly SignatureJob[]; resolve: (good: boolean[]) => void }
  >();
  #batches = 0;

  /** Whether each is a good signature; a key that can't be used has none. */
  verify(jobs: readonly SignatureJob[]): Promise<boolean[]> {
    if (jobs.length <= fewJobs) return Promise.resolve(jobs.map(isGood));
    const id = ++this.#batches;
    return new Promise((resolve) => {
      this.#pending.set(id, { jobs, resolve });
      const batch = pack(id, jobs);
      this.#thread().postMessage(batch, [
        batch.bytes.buffer as ArrayBuffer,
        batch.lengths.buffer as ArrayBuffer,
      ]);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker?.terminate();
  }

  #thread(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(new URL('./signature-thread.ts', import.meta.url));
    worker.unref();
    worker.on('message', ({ id, good }: SignatureAnswer) =>
      this.#end(
        id,
        Array.from(good, (byte) => byte === 1),
      ),
    );
    // Both events may come; the first one finds the jobs.
    worker.on('error', () => this.#failed(worker));
    worker.on('exit', () => this.#failed(worker));
    this.#worker = worker;
    return worker;
  }

  #failed(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const [id, { jobs }] of [...this.#pending]) this.#end(id, jobs.map(isGood));
  }

  #end(id: number, good: boolean[]): void {
    this.#pending.get(id)?.resolve(good);
    this.#pending.delete(id);
  }
}

/** Whether a signature is a good one. */
export function isGood({ key, unsigned, sig }: SignatureJob): boolean {
  try {
    return verifySignature(key, unsigned, sig);
  } catch (err) {
    if (err instanceof RepoError) return false;
    throw err;
  }
}

function pack(id: number, jobs: readonly SignatureJob[]): SignatureBatch {
  const lengths = new Uint32Array(jobs.length * 2);
  const total = jobs.reduce((sum, { unsigned, sig }) => sum + unsigned.length + sig.length, 0);
  const bytes = new Uint8Array(total);
  let at = 0;
  jobs.forEach(({ unsigned, sig }, i) => {
    bytes.set(unsigned, at);
    bytes.set(sig, at + unsigned.length);
    lengths[2 * i] = unsigned.length;
    lengths[2 * i + 1] = sig.length;
    at += unsigned.length + sig.length;
  });
  return { id, keys: jobs.map(({ key }) => key), lengths, bytes };
}

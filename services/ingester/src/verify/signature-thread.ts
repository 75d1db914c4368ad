/** The thread of SignatureChecker: batches in, one byte a signature out. */
import { parentPort } from 'node:worker_threads';
import { isGood, type SignatureAnswer, type SignatureBatch } from './signatures.ts';

parentPort?.on('message', ({ id, keys, lengths, bytes }: SignatureBatch) => {
  const good = new Uint8Array(keys.length);
  let at = 0;
  keys.forEach((key, i) => {
    const [unsignedLength, sigLength] = [lengths[2 * i]!, lengths[2 * i + 1]!];
    const unsigned = bytes.subarray(at, at + unsignedLength);
    at += unsignedLength;
    const sig = bytes.subarray(at, at + sigLength);
    at += sigLength;
    good[i] = isGood({ key, unsigned, sig }) ? 1 : 0;
  });
  parentPort?.postMessage({ id, good } satisfies SignatureAnswer, [good.buffer]);
});

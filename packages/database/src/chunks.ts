/** Bytes outside of V8's heap for rows and messages: made once, written over again and again. */

/** Large enough that a message's header costs nothing, small enough to stay in the processor's cache. */
export const chunkBytes = 64 * 1024;
/** Chunks kept for the next batch. */
const maxSpare = 256;
const spare: Buffer[] = [];

/** A chunk with room for so many bytes. */
export function takeChunk(bytes: number): Buffer {
  const size = Math.max(chunkBytes, bytes);
  return (size === chunkBytes && spare.pop()) || Buffer.allocUnsafeSlow(size);
}

/** Gives chunks back to be written over. Only when their bytes are certain to have been sent. */
export function giveChunks(chunks: readonly Buffer[]): void {
  for (const chunk of chunks) {
    if (chunk.length === chunkBytes && spare.length < maxSpare) spare.push(chunk);
  }
}

import type { random } from '../../packages/repo/testing/random.ts';

export type Random = ReturnType<typeof random>;

/** Numbers that readers trip over. */
const EDGES = [0, 1, 23, 24, 0x1b, 0x3b, 0x5b, 0x7b, 0x7f, 0x80, 0x9b, 0xbb, 0xbf, 0xd8, 0xf6, 0xfb, 0xff];

/** Bytes with a few changes: flipped, set, cut, doubled, blown up, or crossed with those of another input. */
export function mutateBytes(seed: Buffer, other: Buffer, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(seed);
  for (let left = 1 + random.int(5); left > 0; left--) bytes = once(bytes, other, random);
  return bytes;
}

function once(bytes: Buffer, other: Buffer, { int, pick }: Random): Buffer {
  const at = int(bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (int(8)) {
    case 0:
      return head;
    case 1:
      return Buffer.concat([head, tail.subarray(1 + int(8))]);
    case 2:
      return Buffer.concat([head, Buffer.from([pick(EDGES)]), tail]);
    case 3:
      return Buffer.concat([head, ...Array(1 + int(200)).fill(tail.subarray(0, 1 + int(40))), tail]);
    case 4:
      return Buffer.concat([head, other.subarray(int(other.length + 1))]);
    case 5: {
      const huge = Buffer.alloc(9, 0xff);
      huge[0] = pick([0x1b, 0x5b, 0x7b, 0x9b, 0xbb, 0x80]);
      return Buffer.concat([head, huge.subarray(0, 2 + int(8)), tail.subarray(1)]);
    }
    default: {
      const copy = Buffer.from(bytes);
      if (at < copy.length) copy[at] = int(2) === 0 ? pick(EDGES) : copy[at]! ^ (1 << int(8));
      return copy;
    }
  }
}

const VALUES = [null, -1, 2 ** 53, 1e300, '', '\0', '\ud800', '__proto__', 'x'.repeat(5000), [], {}, true];

/** JSON or a CBOR body with one value replaced, removed, nested deeply, or under a strange key. */
export function mutateValue<T>(value: T, random: Random): T {
  const { int, pick } = random;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || int(4) === 0) {
    return odd(random) as T;
  }
  // A link's own fields are no data.
  if ('code' in value && 'multihash' in value) return odd(random) as T;
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, unknown>;
  const keys = Object.keys(copy);
  if (keys.length === 0) return odd(random) as T;
  const key = pick(keys);
  const turn = int(10);
  if (turn === 0) delete copy[key];
  else if (turn === 1 && !Array.isArray(copy))
    copy[pick(['toString', 'constructor', '\0', 'length'])] = odd(random);
  else copy[key] = mutateValue(copy[key], random);
  return copy as T;
}

function odd({ int, pick }: Random): unknown {
  if (int(8) > 0) return pick(VALUES);
  let deep: unknown = 1;
  for (let depth = pick([100, 127, 128, 129, 400]); depth > 0; depth--)
    deep = int(2) === 0 ? [deep] : { a: deep };
  return deep;
}

import type { Label } from '@headwater/events';
import * as dagCbor from '@ipld/dag-cbor';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as any from '../testing/arbitraries.ts';
import { unsignedLabel } from './label-bytes.ts';

const long = fc.oneof(
  any.text,
  fc.string({ minLength: 250, maxLength: 300 }),
  fc.constant('x'.repeat(70_000)),
);
const label = fc.record(
  {
    src: any.text,
    uri: long,
    val: any.text,
    cts: any.text,
    ver: fc.constant(1),
    cid: long,
    neg: fc.boolean(),
    exp: any.text,
    sig: fc.constant({ $bytes: 'AQID' }),
  },
  { requiredKeys: ['src', 'uri', 'val', 'cts'] },
) as fc.Arbitrary<Label>;

test('the signature covers what the reference encodes of a label without it', () => {
  fc.assert(
    fc.property(label, ({ sig: _, ...unsigned }) => {
      const more = { sig: { $bytes: 'BBBB' }, $type: 'com.atproto.label.defs#label', odd: 1 };
      expect(unsignedLabel({ ...unsigned, ...more })).toEqual(Buffer.from(dagCbor.encode(unsigned)));
    }),
  );
});

import type { Label } from '@headwater/events';
import { type Identity, IdentityError, type IdentityReason } from '@headwater/identity';
import { unsignedLabel } from '@headwater/repo';
import { expect, it } from 'vitest';
import { deriveKey, didKey, type SigningKey, sign } from '../../../../test/simulator/protocol/keys.ts';
import { LabelerError } from '../live/labeler.ts';
import { LabelSignatures } from './label-signatures.ts';
import { isGood } from './signatures.ts';

const did = 'did:plc:labeler';
const [first, second] = [deriveKey('k256', 'first'), deriveKey('p256', 'second')];
const minute = 60_000;

function label(by: SigningKey | undefined, ageMs = 0): Label {
  const cts = new Date(Date.now() - ageMs).toISOString();
  const bare = { ver: 1, src: did, uri: 'did:plc:a', val: 'spam', cts };
  return by ? { ...bare, sig: { $bytes: sign(by, unsignedLabel(bare)).toString('base64') } } : bare;
}

/** A directory that gives these answers, one after the other; the last one for ever. */
function directory(...answers: (SigningKey | IdentityReason | 'no-key')[]) {
  const asked = { times: 0 };
  const refresh = async (): Promise<Identity> => {
    const answer = answers[Math.min(asked.times++, answers.length - 1)]!;
    if (answer === 'no-key') return { did };
    if (typeof answer === 'string') throw new IdentityError(answer, did, answer);
    return { did, labelKey: didKey(answer) };
  };
  const labels = new LabelSignatures({
    labeler: { did, address: '', trusted: true, key: didKey(first) },
    identities: { refresh },
    signatures: { verify: async (jobs) => jobs.map(isGood) },
    lookMs: 1,
    pause: { baseMs: 1, maxMs: 2 },
  });
  const service = new AbortController();
  return { asked, service, verify: (...all: Label[]) => labels.verify(all, service.signal) };
}

it('asks nobody while signatures are good, nor about what is not signed at all', async () => {
  const { asked, verify } = directory(second);
  expect(await verify(label(first), label(undefined), label(first, 400 * minute))).toEqual([
    true,
    false,
    true,
  ]);
  expect(asked.times).toBe(0);
});

it('waits for the document while the directory is away, and believes either key in between', async () => {
  const { asked, verify } = directory('unavailable', 'unavailable', second);
  expect(await verify(label(first), label(second))).toEqual([true, true]);
  expect(asked.times).toBe(3);
  expect(await verify(label(first, 10 * minute), label(second))).toEqual([false, true]);
});

it('looks once a minute for old labels, and each time for those that a newer key may have signed', async () => {
  const { asked, verify } = directory(first);
  for (let n = 0; n < 5; n++) expect(await verify(label(second, 10 * minute))).toEqual([false]);
  expect(asked.times).toBe(1);
  for (let n = 0; n < 3; n++) expect(await verify(label(second))).toEqual([false]);
  expect(asked.times).toBe(4);
});

it('gives a labeler up that has no key or no document any more', async () => {
  const keyless = directory('no-key');
  await expect(keyless.verify(label(second))).rejects.toThrow(LabelerError);
  const gone = directory('tombstoned');
  await expect(gone.verify(label(second))).rejects.toThrow(IdentityError);
});

it('ends its waiting when the service stops', async () => {
  const { service, verify } = directory('unavailable');
  const waiting = verify(label(second));
  service.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
});

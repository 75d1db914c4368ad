import { decodeEvents, type RecordEvent, standsAt, textOf } from '@headwater/events';
import { type JsonBytes, RepoError } from '@headwater/repo';
import type { Fields, NewFields } from '@headwater/streams';
import { describe, expect, it } from 'vitest';
import { Parts, partLimits } from './parts.ts';

const repo = {
  did: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz',
  rev: '3m000000000m2',
  commit: 'bafycommit',
  data: 'bafydata',
  fetch: 'f1',
  time: '2026-11-23T01:30:15.953Z',
};
const recordOf = (rkey: string, json: string | RepoError = '{"$type":"a.b.c","text":"\\u0000 é"}') => ({
  path: `a.b.c/${rkey}`,
  collection: 'a.b.c',
  cid: `cid-${rkey}`,
  writeRkey: (to: JsonBytes) => to.ascii(rkey),
  writeCid: (to: JsonBytes) => to.ascii(`cid-${rkey}`),
  writeJson: (to: JsonBytes) => {
    to.ascii('{');
    if (json instanceof RepoError) throw json;
    to.utf8(json.slice(1));
  },
});

const asText = (fields: NewFields): Fields =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value.toString()]));

function collect(limits = { events: 3, bytes: 100_000, sendBytes: 1_000_000 }) {
  const sent: Fields[][] = [];
  const dropped: string[] = [];
  const parts = new Parts({
    repo,
    limits,
    send: async (entries) => void sent.push(entries.map(asText)),
    onUnusable: (path, { reason }) => void dropped.push(`${path} ${reason}`),
  });
  return { parts, sent, dropped, entries: () => sent.flat().map((fields) => decodeEvents(fields)) };
}

describe('Parts', () => {
  it('makes one entry of a small repo, with everything said once', async () => {
    const { parts, entries, sent } = collect();
    parts.fresh();
    await parts.write('create', recordOf('1'));
    await parts.finish();
    const common = { seq: -1, time: repo.time, did: repo.did, commit: repo.commit, rev: repo.rev };
    expect(entries()).toEqual([
      [
        {
          type: 'create',
          ...common,
          collection: 'a.b.c',
          rkey: '1',
          cid: 'cid-1',
          record: { $type: 'a.b.c', text: '\0 é' },
          fetch: 'f1',
          part: 0,
          fresh: true,
        },
        { type: 'repo', ...common, parts: 1, data: 'bafydata' },
      ],
    ]);
    expect(Object.keys(sent[0]![0]!)).toEqual(['events']);
  });

  it('has tabs between its events, by which records are found', async () => {
    const bytes: NewFields[] = [];
    const send = async (entries: NewFields[]) => void bytes.push(...entries);
    const parts = new Parts({ repo, limits: partLimits, send, onUnusable: () => undefined });
    for (const rkey of ['1', '2', '3'])
      await parts.write('create', recordOf(rkey, '{"$type":"a.b.c","text":"é"}'));
    await parts.finish();
    const records = decodeEvents(bytes[0]!).slice(0, 3) as RecordEvent[];
    const texts = records.map((event) => event[standsAt] && textOf(event[standsAt]));
    const text = '{"$type":"a.b.c","text":"é"}';
    expect(texts).toEqual([undefined, text, text]);
  });

  it('says that an account is active without a place of its own', async () => {
    const { parts, entries } = collect();
    await parts.showAccount();
    await parts.finish();
    expect(entries()).toMatchObject([
      [
        { type: 'account', did: repo.did, active: true, time: repo.time, fetch: 'f1', part: 0 },
        { type: 'repo', parts: 1 },
      ],
    ]);
  });

  it('makes an entry of one event where nothing differs', async () => {
    const { parts, entries, sent } = collect();
    await parts.finish();
    expect(Object.keys(sent[0]![0]!)).toEqual(['event']);
    expect(entries()[0]).toMatchObject([{ type: 'repo', parts: 1, fetch: 'f1', part: 0 }]);
    expect(entries()[0]![0]).not.toHaveProperty('fresh');
  });

  it.each([1, 2, 3, 4, 6, 7])(
    'numbers the parts of %i records; only first events name them',
    async (count) => {
      const { parts, entries } = collect();
      for (let i = 0; i < count; i++) await parts.write('create', recordOf(`${i}`));
      await parts.finish();
      const all = entries();
      expect(all.length).toBe(Math.ceil(count / 3));
      for (const [i, events] of all.entries()) {
        expect(events[0]).toMatchObject({ fetch: 'f1', part: i });
        for (const event of events.slice(1)) expect(event).not.toHaveProperty('part');
      }
      expect(all.at(-1)!.at(-1)).toMatchObject({ type: 'repo', parts: all.length });
      expect(all.flat().filter((e) => e.type === 'create').length).toBe(count);
    },
  );

  it('cuts by size too, and sends before it holds too much', async () => {
    const { parts, sent, entries } = collect({ events: 1000, bytes: 1000, sendBytes: 3000 });
    for (let i = 0; i < 50; i++) await parts.write('create', recordOf(`${i}`, `{"t":"${'x'.repeat(300)}"}`));
    expect(sent.length).toBeGreaterThan(3);
    await parts.finish();
    for (const batch of sent) {
      expect(batch.reduce((sum, f) => sum + (f.events ?? f.event)!.length, 0)).toBeLessThan(5000);
    }
    expect(entries().flat().length).toBe(51);
  });

  it('leaves out what is unusable, and deletes its older version', async () => {
    const { parts, entries, dropped } = collect();
    const bad = new RepoError('bad-record', 'a float');
    await parts.write('create', recordOf('1', bad));
    await parts.write('update', recordOf('2', bad));
    await parts.write('create', recordOf('3'));
    await parts.delete('a.b.c/4');
    await parts.finish();
    expect(dropped).toEqual(['a.b.c/1 bad-record', 'a.b.c/2 bad-record']);
    const said = entries()
      .flat()
      .map((e) => `${e.type} ${'rkey' in e ? e.rkey : ''}`);
    expect(said).toEqual(['delete 2', 'create 3', 'delete 4', 'repo ']);
    expect(parts.counts).toEqual({ create: 1, update: 0, delete: 2 });
  });
});

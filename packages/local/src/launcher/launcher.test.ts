import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Display, table } from './display.ts';
import { AlreadyRunningError, lockFolder } from './lock.ts';
import { parseOptions, UsageError } from './options.ts';

describe('parseOptions', () => {
  const parse = (...args: string[]) => parseOptions(args, '/root', false);

  it('has a small network as default, and ends by itself without a terminal', () => {
    expect(parse()).toEqual({
      dids: [],
      collections: [],
      folder: '/root/.headwater/small-network',
      exit: true,
    });
    expect(parseOptions([], '/root', true)).toMatchObject({ exit: false });
    expect(parse('--stay')).toMatchObject({ exit: false });
  });

  it('keeps a relay apart from the small network', () => {
    const did = 'did:plc:z72i7hdynmk6r22z27h6tvur';
    const args = ['--relay', 'bsky.network', '--did', did, '--did', 'did:web:example.com', '--data', '/d'];
    expect(parse(...args, '--collection', 'app.bsky.*')).toEqual({
      relay: 'bsky.network',
      dids: [did, 'did:web:example.com'],
      collections: ['app.bsky.*'],
      folder: '/d/relay',
      exit: true,
    });
  });

  it.each([
    [['--did', 'did:plc:z72i7hdynmk6r22z27h6tvur'], '--did needs --relay HOST'],
    [['--relay', 'h', '--did', 'alice.test'], 'not a DID: alice.test'],
    [['--collection', 'posts'], 'not a collection: posts'],
    [['--relais'], /--relais/],
  ])('refuses %j', (args, message) => {
    expect(() => parse(...args)).toThrow(UsageError);
    expect(() => parse(...args)).toThrow(message);
  });
});

describe('lockFolder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'headwater-lock-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('passes over what a launcher that is gone left, and a number that another program has now', () => {
    writeFileSync(join(folder, 'launcher.pid'), '1\n');
    const unlock = lockFolder(folder);
    unlock();
    lockFolder(folder)();
    expect(new AlreadyRunningError('x').name).toBe('AlreadyRunningError');
  });
});

describe('Display', () => {
  it('prints a block as one line, and only when it differs, where there is no terminal', () => {
    const written: string[] = [];
    const out = {
      isTTY: false,
      write: (text: string) => written.push(text),
    } as unknown as NodeJS.WriteStream;
    const display = new Display(out);
    display.block(['  a   1', '  b   2']);
    display.block(['  a   1', '  b   2']);
    display.line('stays');
    display.block(['  a   2']);
    expect(written).toEqual(['  a 1 | b 2\n', 'stays\n', '  a 2\n']);
  });

  it('draws a block anew in place on a terminal, below lines that stay', () => {
    let screen = '';
    const write = (text: string) => {
      screen += text;
    };
    const display = new Display({ isTTY: true, columns: 12, write } as unknown as NodeJS.WriteStream);
    display.block(['one', 'a line that is too long']);
    display.line('stays');
    expect(screen).toBe('one\na line tha…\n\x1b[2A\x1b[Jstays\none\na line tha…\n');
  });

  it('aligns numbers to the right', () => {
    expect(
      table([
        ['', 'n'],
        ['posts', 1234],
        ['likes', 5],
      ]),
    ).toEqual(['          n', '  posts   1,234', '  likes       5']);
  });
});

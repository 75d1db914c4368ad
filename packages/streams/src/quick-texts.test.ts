import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it('texts keep their methods where V8 finds them at once, though a class of ioredis extends String', () => {
  const index = fileURLToPath(new URL('./index.ts', import.meta.url));
  const script = `
    const isFast = () => %HasFastProperties(String.prototype);
    console.log(isFast());
    await import('ioredis');
    console.log(isFast());
    await import(${JSON.stringify(index)});
    console.log(isFast());`;
  const args = ['--allow-natives-syntax', '--input-type=module', '--eval', script];
  const said = execFileSync(process.execPath, args, { encoding: 'utf8', cwd: import.meta.dirname });
  // When the second is true, ioredis or V8 has changed: the file beside this one may go.
  expect(said.trim().split('\n')).toEqual(['true', 'false', 'true']);
});

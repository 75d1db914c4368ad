// npm start: the set-up, then the launcher under Node 24 (packages/local/src/launcher).
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root, runOrExplain, setUp } from './setup.mjs';

await runOrExplain(async () => {
  const redisUrl = process.env.REDIS_URL ?? process.env.REDIS_URL_FILE;
  const { node, env } = await setUp({ redis: redisUrl === undefined || redisUrl === '' });
  return await launch(node, env);
});

/** Runs the launcher with our terminal and the signals that reach us; its exit code is ours. */
function launch(node, env) {
  const main = join(root, 'packages/local/src/launcher/main.ts');
  // When this process is killed outright, the kernel tells the launcher.
  const guard = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'TERM', '--'] : [];
  const [command, ...args] = [...guard, node, main, ...process.argv.slice(2)];
  const child = spawn(command, args, { env, stdio: 'inherit' });
  // Ctrl-C reaches the launcher from the terminal itself; npm sends us a second one.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill('SIGTERM'));
  watchNpm(child);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

/** npm that is killed outright leaves us to another parent: then nobody waits for us any more. */
function watchNpm(child) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && child.kill('SIGTERM'), 1000).unref();
}

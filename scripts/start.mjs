// npm start: the set-up, then the launcher under Node 24 (packages/local/src/launcher).
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, runOrExplain, SetUpError, setUp } from './setup.mjs';

const OPTIONS = ['relay', 'did', 'collection', 'exit', 'stay', 'data'];

await runOrExplain(async () => {
  const swallowed = OPTIONS.find((name) => process.env[`npm_config_${name}`] !== undefined);
  if (swallowed !== undefined) {
    throw new SetUpError(
      `npm took --${swallowed} for an option of its own. Put -- before it: npm start -- --${swallowed} …`,
    );
  }
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

/** When npm, or a shell between it and us, is killed outright, nobody waits for us any more. */
function watchNpm(child) {
  const chain = ancestorsUpToNpm();
  const parent = process.ppid;
  const watch = () => {
    if (process.ppid !== parent || chain.some((pid) => !existsSync(`/proc/${pid}`))) child.kill('SIGTERM');
  };
  if (chain.length > 0) setInterval(watch, 500).unref();
}

/** Process ids from our parent up to npm; none when npm did not start us, or where there is no /proc. */
function ancestorsUpToNpm() {
  const chain = [];
  if (process.env.npm_lifecycle_event === undefined) return chain;
  try {
    for (let pid = process.ppid; pid > 1; pid = parentOf(pid)) {
      chain.push(pid);
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('npm')) return chain;
    }
  } catch {}
  return [];
}

function parentOf(pid) {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

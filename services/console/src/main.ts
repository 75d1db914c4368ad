/**
 * The operator's `headwater` command.
 *
 * Owns: what an operator types and reads. Refuses to know: how an entry is
 * written or a repo read; every command is a short way through the packages.
 * Destructive commands take `--dry-run` and
 * a reason, and leave an audit row. A crash in the middle of one leaves
 * each letter or job either moved or not, never both.
 */
import { SettingsError } from '@headwater/ops';
import { isPassing } from '@headwater/streams';
import { Command, CommanderError } from 'commander';
import { addBackfill } from './commands/backfill.ts';
import { addBulk } from './commands/bulk.ts';
import { addCounts } from './commands/counts.ts';
import { addCursor } from './commands/cursor.ts';
import { addDead } from './commands/dead.ts';
import { addDoctor } from './commands/doctor.ts';
import { addMigrate } from './commands/migrate.ts';
import { addPause } from './commands/pause.ts';
import { addRepo } from './commands/repo.ts';
import { addServe } from './commands/serve.ts';
import { addStatus } from './commands/status.ts';
import { addVerify } from './commands/verify.ts';
import { CommandError } from './errors.ts';

const program = new Command('headwater')
  .description('Looks into a Headwater installation and repairs it. Settings come from the environment.')
  .configureOutput({ outputError: (text, write) => write(`headwater: ${text.replace(/^error: /, '')}`) })
  .exitOverride();
for (const add of [
  addStatus,
  addDoctor,
  addBackfill,
  addBulk,
  addVerify,
  addDead,
  addCursor,
  addCounts,
  addPause,
  addMigrate,
  addRepo,
  addServe,
])
  add(program);

// Whoever reads it (`| head`) has seen enough: an end as by SIGPIPE, which Node ignores.
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code !== 'EPIPE') throw err;
  process.exit(141);
});

try {
  await program.parseAsync();
} catch (err) {
  process.exitCode = exitCodeOf(err);
}

/** 0 done, 1 the check or the command failed, 2 wrong words or settings. */
function exitCodeOf(err: unknown): number {
  if (err instanceof CommanderError) return err.exitCode === 0 ? 0 : 2;
  if (err instanceof CommandError || err instanceof SettingsError) {
    console.error(`headwater: ${err.message}`);
    return err instanceof SettingsError ? 2 : 1;
  }
  if (err instanceof Error && isPassing(err)) {
    console.error(`headwater: Redis can't be reached: ${err.message}. Check REDIS_URL and that Redis runs.`);
    return 1;
  }
  console.error(err);
  return 1;
}

import { loadSettings } from '@headwater/ops';
import type { Command } from 'commander';

/** `headwater migrate`: bring the database to the newest schema. */
export function addMigrate(program: Command): void {
  program
    .command('migrate')
    .description('bring the database to the newest schema; safe to run twice at once')
    .addHelpText('after', '\nExample:\n  DATABASE_URL=postgres://… headwater migrate')
    .action(async () => {
      // Only here: the database package costs every other command its start-up time.
      const { migrate } = await import('@headwater/database');
      const { databaseUrl, databaseSchema } = loadSettings('console');
      const applied = await migrate(databaseUrl, { schema: databaseSchema });
      console.log(
        applied.length === 0 ? 'nothing to do' : applied.map((name) => `applied ${name}`).join('\n'),
      );
    });
}

/** One-shot: brings the database of DATABASE_URL to the newest schema, then exits. */
import { loadSettings, SettingsError } from '@headwater/ops';
import { migrate } from './migrate.ts';

try {
  const { databaseUrl, databaseSchema } = loadSettings('console');
  const applied = await migrate(databaseUrl, { schema: databaseSchema });
  console.log(applied.length > 0 ? `applied ${applied.join(', ')}` : 'the database is up to date');
} catch (err) {
  console.error(err instanceof SettingsError ? err.message : `migration failed: ${(err as Error).message}`);
  process.exitCode = err instanceof SettingsError ? 2 : 1;
}

import * as database from '@headwater/database';

/** Applies our migrations to the database of `url`, as the one-shot command does. */
export async function applyMigrations(url: string): Promise<void> {
  const migrate = (database as Record<string, unknown>)['migrate'];
  if (typeof migrate === 'function') await migrate(url);
}

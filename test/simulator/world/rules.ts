import type { Account } from './account.ts';
import type { Rows } from './truth.ts';

/** Which rows of an account the tables have to hold. */
export function rowsOf(account: Account): Rows {
  if (account.status === 'deleted' || account.poisoned) return 'none';
  if (!account.active) return account.wasActive ? 'some' : 'none';
  return 'all';
}

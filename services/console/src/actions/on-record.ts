import { userInfo } from 'node:os';
import { type ConsoleSettings, withSql } from '../open.ts';
import { type Act, audited } from './audit.ts';

/** Does what an operator typed with an audit row that says who, what and why. @returns what came of it */
export function onRecord(
  settings: ConsoleSettings,
  act: Omit<Act, 'actor'>,
  run: () => Promise<string>,
): Promise<string> {
  return withSql(settings, (sql) => audited(sql, { actor: `${userName()} (command)`, ...act }, run));
}

/** A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

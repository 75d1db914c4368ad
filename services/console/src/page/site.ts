import type { Redis } from '@headwater/streams';
import type { ConsoleSettings, Sql } from '../open.ts';

/** What every look needs. */
export interface Site {
  redis: Redis;
  sql: Sql;
  settings: ConsoleSettings;
}

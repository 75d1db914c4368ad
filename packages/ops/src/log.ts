import { type Logger, pino } from 'pino';

export type { Logger };

/** URLs of Redis and PostgreSQL carry passwords: they are never written out. */
const redact = [
  'redisUrl',
  'databaseUrl',
  '*.redisUrl',
  '*.databaseUrl',
  'password',
  '*.password',
  'token',
  '*.token',
];

/** A logger: JSON lines on stdout, readable lines on a terminal. */
export function createLogger(service: string, level = 'info'): Logger {
  const options = {
    name: service,
    level,
    redact,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!process.stdout.isTTY) return pino(options);
  const { formatters: _, ...plain } = options;
  return pino({
    ...plain,
    transport: { target: 'pino-pretty', options: { translateTime: 'SYS:HH:MM:ss', ignore: 'pid,hostname' } },
  });
}

import type { Setting } from './declare.ts';
import { declarations } from './load.ts';

const header = 'Generated from packages/ops/src/settings by `pnpm docs:settings`; change it there.';

/** docs/configuration.md: every setting with its services, type, default and description. */
export function renderConfiguration(): string {
  const rows = [...uses().values()].map(
    ({ setting, services }) =>
      `| \`${setting.env}\` | ${services.join(', ')} | ${setting.type} | ${defaultOf(setting)} | ${setting.doc} |`,
  );
  return [
    '# Configuration',
    '',
    `${header}`,
    '',
    'Every setting is an environment variable. A variable that starts with `INGESTER_`, `BACKFILLER_`, `INDEXER_`, `CONSOLE_` or `HEADWATER_` and is not listed here stops a service at its start, so that a misspelt one is never silently without effect. Settings marked *secret* can be given as the path of a file: `DATABASE_URL_FILE=/run/secrets/database_url`.',
    '',
    '| Variable | Read by | Type | Default | Meaning |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

/** .env.example: the same as comments, with the defaults. */
export function renderEnvExample(): string {
  const blocks = [...uses().values()].map(({ setting, services }) => {
    const value = setting.required ? setting.example : plainDefault(setting);
    return `# ${setting.doc}\n# (${services.join(', ')}; ${setting.type.replaceAll('`', '')})\n${setting.required ? '' : '#'}${setting.env}=${value}\n`;
  });
  return [`# ${header}`, '', ...blocks].join('\n');
}

function uses(): Map<string, { setting: Setting<unknown>; services: string[] }> {
  const all = new Map<string, { setting: Setting<unknown>; services: string[] }>();
  for (const [service, group] of Object.entries(declarations)) {
    for (const setting of Object.values<Setting<unknown>>(group)) {
      const use = all.get(setting.env) ?? { setting, services: [] };
      use.services.push(service);
      all.set(setting.env, use);
    }
  }
  return all;
}

function defaultOf(setting: Setting<unknown>): string {
  if (setting.required) return `required${setting.secret ? ', *secret*' : ''}`;
  const plain = setting.defaultText ?? plainDefault(setting);
  return `${plain === '' ? 'none' : setting.defaultText ? plain : `\`${plain}\``}${setting.secret ? ', *secret*' : ''}`;
}

function plainDefault(setting: Setting<unknown>): string {
  if (setting.default === undefined) return '';
  return Array.isArray(setting.default) ? setting.default.join(',') : String(setting.default);
}

import type { Command } from 'commander';
import type { Finding } from '../doctor/finding.ts';
import { CommandError } from '../errors.ts';

const signs = { ok: '✓', warning: '!', error: '✗' } as const;

/** `headwater doctor`: what is wrong with this installation, and what mends it. */
export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('what is wrong here and how to mend it: settings, servers, schema, streams, clock, disk')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExits 0 when nothing is wrong (warnings may be shown), 1 when something is.')
    .action(async ({ json }: { json?: boolean }) => {
      const { diagnose } = await import('../doctor/diagnose.ts');
      const findings = await diagnose();
      console.log(json ? JSON.stringify(findings) : findings.map(render).join('\n'));
      const wrong = findings.filter(({ level }) => level === 'error').length;
      if (wrong > 0) throw new CommandError(`${wrong} of ${findings.length} checks failed`);
    });
}

function render(finding: Finding): string {
  const line = `${signs[finding.level]} ${finding.check}: ${finding.what}`;
  return finding.level === 'ok' ? line : `${line}\n    → ${finding.fix}`;
}

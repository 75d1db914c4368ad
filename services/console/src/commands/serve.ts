import { runService } from '@headwater/ops';
import type { Command } from 'commander';

/** `headwater serve`: the status page, until SIGTERM. */
export function addServe(program: Command): void {
  program
    .command('serve')
    .description('serve the status page (CONSOLE_HOST, CONSOLE_PORT) until SIGTERM')
    .addHelpText('after', '\nExample:\n  CONSOLE_PORT=8420 headwater serve')
    .action(async () => {
      // Only here: the page's server costs every other command its start-up time.
      const { serve } = await import('../page/serve.ts');
      await runService('console', serve);
    });
}

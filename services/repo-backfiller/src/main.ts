import { runService } from '@headwater/ops';
import { runBackfiller } from './service.ts';

await runService('repo-backfiller', (context) => runBackfiller(context));

import { runService } from '@headwater/ops';
import { runIndexer } from './service.ts';

await runService('indexer', (context) => runIndexer(context));

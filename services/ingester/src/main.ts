import { runService } from '@headwater/ops';
import { runIngester } from './service.ts';

await runService('ingester', (context) => runIngester(context));

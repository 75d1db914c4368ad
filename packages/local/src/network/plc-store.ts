import { appendFile, readFile } from 'node:fs/promises';
import type { TestPlc } from '@atproto/dev-env';

/**
 * Makes the PLC server of dev-env, which keeps its operations in memory,
 * durable: replays the operations of `file` (one JSON object a line) and
 * appends each new one before it is answered. A torn last line is left out.
 */
export async function keepOperations(plc: TestPlc, file: string): Promise<void> {
  const { db } = plc.ctx;
  const accept = db.validateAndAddOp.bind(db);
  for (const line of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
    const saved = parse(line);
    if (saved !== undefined) await accept(saved.did, saved.operation);
  }
  db.validateAndAddOp = async (did, operation) => {
    await accept(did, operation);
    await appendFile(file, `${JSON.stringify({ did, operation })}\n`, { flush: true });
  };
}

type Operation = Parameters<TestPlc['ctx']['db']['validateAndAddOp']>[1];

function parse(line: string): { did: string; operation: Operation } | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

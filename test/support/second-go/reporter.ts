/**
 * A second go that passes hides the first failure, and with it the seed that
 * would show it again: here it is printed in full at the end of the run.
 */
import { relative } from 'node:path';
import type { Reporter, TestCase, Vitest } from 'vitest/node';

const RULE = '⎯'.repeat(20);

export default class SecondGoReporter implements Reporter {
  #vitest: Vitest | undefined;
  readonly #passedLate: TestCase[] = [];

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunStart(): void {
    this.#passedLate.length = 0;
  }

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky) this.#passedLate.push(test);
  }

  onTestRunEnd(): void {
    if (this.#passedLate.length === 0) return;
    this.#vitest?.logger.error(`\n${RULE} Passed only on a second go: ${this.#passedLate.length} ${RULE}\n`);
    for (const test of this.#passedLate) this.#print(test);
  }

  #print(test: TestCase): void {
    const { logger, config } = this.#vitest!;
    const name = `${relative(config.root, test.module.moduleId)} > ${test.fullName}`;
    for (const [i, attempt] of test.attempts().entries()) {
      if (attempt.state !== 'failed') continue;
      logger.error(`SECOND GO  ${name} (go ${i + 1}, after ${Math.round(attempt.duration)} ms)`);
      for (const error of attempt.errors ?? []) logger.printError(error, { project: test.project });
    }
  }
}

import { onAbort } from '@headwater/ops';

/** So many at once; who comes later waits in turn. Who only waits for a slow host may lend its slot to others. */
export class Slots {
  readonly #mostLent: number;
  #free: number;
  #lent = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param mostLent slots that may be lent at once: so many fetches more are under way at most */
  constructor(count: number, mostLent = 0) {
    this.#free = count;
    this.#mostLent = mostLent;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** How many slots are lent at present. */
  get lent(): number {
    return this.#lent;
  }

  /** Takes a slot when there is one; dispose of it to give it back. @throws the signal's reason */
  async take(signal: AbortSignal): Promise<Slot> {
    await this.#get(signal, false);
    return new Slot({
      lend: () => this.#lend(),
      takeAgain: async (until) => {
        await this.#get(until, true);
        this.#lent -= 1;
      },
      end: (isLent) => {
        if (isLent) this.#lent -= 1;
        else this.#give();
      },
    });
  }

  async #get(signal: AbortSignal, isFirst: boolean): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal, isFirst);
  }

  #lend(): boolean {
    if (this.#lent >= this.#mostLent) return false;
    this.#lent += 1;
    this.#give();
    return true;
  }

  #turn(signal: AbortSignal, isFirst: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const forget = onAbort(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(mine), 1);
        reject(signal.reason);
      });
      const mine = () => {
        forget();
        resolve();
      };
      if (isFirst) this.#waiting.unshift(mine);
      else this.#waiting.push(mine);
    });
  }

  #give(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free += 1;
  }
}

interface Keeper {
  lend(): boolean;
  takeAgain(signal: AbortSignal): Promise<void>;
  end(isLent: boolean): void;
}

/** A slot that somebody has; disposing of it gives it back. */
export class Slot implements Disposable {
  readonly #keeper: Keeper;
  #state: 'held' | 'lent' | 'given' = 'held';

  constructor(keeper: Keeper) {
    this.#keeper = keeper;
  }

  get isLent(): boolean {
    return this.#state === 'lent';
  }

  /** Lets another have it until `takeAgain`, unless too many do so already. */
  lend(): void {
    if (this.#state === 'held' && this.#keeper.lend()) this.#state = 'lent';
  }

  /** Has it again, before all who wait for their first one. @throws the signal's reason */
  async takeAgain(signal: AbortSignal): Promise<void> {
    if (this.#state !== 'lent') return;
    await this.#keeper.takeAgain(signal);
    this.#state = 'held';
  }

  [Symbol.dispose](): void {
    if (this.#state !== 'given') this.#keeper.end(this.#state === 'lent');
    this.#state = 'given';
  }
}

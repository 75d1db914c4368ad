import { onAbort } from '@headwater/ops';
import { XrpcError } from './errors.ts';
import { Exchange } from './exchange.ts';

/** One call from its first request to the last byte of its answer, with what may end it early: its deadline, its caller's signal, the limits of the body. */
export class Call {
  #stopped = false;
  #reason: unknown;
  #exchange: Exchange | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #forget: (() => void) | undefined;

  constructor(url: URL, deadlineMs: number, signal: AbortSignal | undefined) {
    this.#timer = setTimeout(() => {
      this.stop(new XrpcError('timeout', `${url.host}: no whole answer within ${deadlineMs} ms`));
    }, deadlineMs);
    if (signal?.aborted) this.stop(signal.reason);
    else this.#forget = signal && onAbort(signal, () => this.stop(signal.reason));
  }

  /** The next request, one after the other. @throws the reason of `stop` */
  begin(): Exchange {
    if (this.#stopped) throw this.#reason;
    this.#exchange = new Exchange();
    return this.#exchange;
  }

  /** Ends it for a reason, which is what its caller gets. */
  stop(reason: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#reason = reason;
    this.#exchange?.stop(reason);
  }

  /** What its caller gets of an error: the reason, where it was stopped. */
  errorOf(err: unknown, otherwise: (err: unknown) => XrpcError): unknown {
    return this.#stopped ? this.#reason : otherwise(err);
  }

  /** It is over: nothing of it is left, and nothing ends it any more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#forget?.();
    this.#exchange?.leave();
  }
}

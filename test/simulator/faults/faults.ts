import type { Call, Handler, Intercept } from '../servers/http.ts';
import { placeOf } from '../servers/list.ts';
import { carReply } from '../servers/pds.ts';
import { documentOf } from '../servers/plc.ts';
import { json, send } from '../servers/reply.ts';
import type { World } from '../world/world.ts';
import { CAR_FAULTS, type CarFaultName } from './cars.ts';
import { DOCUMENT_FAULTS, type DocumentFaultName, spoilDocument } from './documents.ts';
import { HTTP_FAULTS, type HttpFaultName, type HttpParams, httpFault } from './http.ts';
import { ActiveFault, type Expectation, FaultLog, type Scope, type Target } from './registry.ts';

/** Faults of calls, by name. */
export type CallFaultName = HttpFaultName | CarFaultName | DocumentFaultName | 'car-stale' | 'did-stale';

export interface CallFault extends Scope, HttpParams {
  fault: CallFaultName;
  /** Stays when the others are cleared. */
  lasting?: boolean;
  /** What is expected, where it differs from the rule. */
  expect?: Expectation;
}

const GET_REPO = 'com.atproto.sync.getRepo';

/** Faults of calls that are switched on, and the log of all that struck. */
export class Faults {
  readonly log = new FaultLog();
  readonly #world: World;
  #active: ActiveFault<CallFault>[] = [];
  #noted = new Set<string>();
  readonly #staleCars = new Map<string, Buffer>();
  readonly #staleDocuments = new Map<string, unknown>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Switches a fault on. The last one that was switched on and fits is the one that strikes. */
  inject(spec: CallFault): ActiveFault<CallFault> {
    const active = new ActiveFault(spec.fault, spec, spec, this.#world.options.seed);
    if (spec.fault.endsWith('-stale')) this.#keep(spec.fault, spec.did);
    this.#active = [active, ...this.#active.filter((fault) => !fault.stopped)];
    return active;
  }

  /** Switches all off but the lasting ones. */
  clear(): void {
    for (const fault of this.#active) if (!fault.params.lasting) fault.stop();
    this.#active = this.#active.filter((fault) => !fault.stopped);
  }

  /** To stand before every server's handler. */
  readonly intercept: Intercept = (call, handle) => {
    if (this.#active.length === 0) return false;
    const target = targetOf(call);
    for (const fault of this.#active) {
      if (this.#fits(fault, target) && fault.strikes(target) && this.#strike(fault, target, call, handle)) {
        return true;
      }
    }
    return false;
  };

  #fits({ fault, scope }: ActiveFault<CallFault>, { service, method }: Target): boolean {
    if (isDocumentFault(fault)) return service === 'plc' && method.startsWith('/did:');
    if (!isHttpFault(fault)) return method === GET_REPO;
    const { methods } = httpFault(fault);
    return scope.method !== undefined || methods === undefined || methods.includes(method);
  }

  #strike(fault: ActiveFault<CallFault>, target: Target, call: Call, handle: Handler): boolean {
    const { params } = fault;
    const name = params.fault;
    const done = isHttpFault(name)
      ? httpFault(name).run(call, handle, params)
      : isDocumentFault(name)
        ? this.#sendDocument(name, target, call, handle)
        : this.#sendCar(name, target, call, handle);
    if (done) this.#note(fault, target);
    return done;
  }

  #sendDocument(
    name: DocumentFaultName | 'did-stale',
    { did }: Target,
    call: Call,
    handle: Handler,
  ): boolean {
    if (name !== 'did-stale') return spoilDocument(name, call, handle);
    const document = this.#staleDocuments.get(did ?? '');
    if (document) send(call.res, json(document));
    return document !== undefined;
  }

  /** The hostile CAR, where the host would have sent the true one. */
  #sendCar(fault: CarFaultName | 'car-stale', { did }: Target, call: Call, handle: Handler): boolean {
    const account = this.#world.byDid.get(did ?? '');
    const answer = handle(call);
    if (!account || answer.status !== 200) return false;
    const bytes = fault === 'car-stale' ? this.#staleCars.get(account.did) : CAR_FAULTS[fault](account);
    send(call.res, bytes ? carReply(bytes) : answer);
    return true;
  }

  /** What hosts and directory will go on saying while the fault is on. */
  #keep(fault: CallFaultName, did: string | undefined): void {
    for (const account of this.#world.accounts) {
      if (did !== undefined && account.did !== did) continue;
      if (fault === 'car-stale') this.#staleCars.set(account.did, account.repo.car());
      if (fault === 'did-stale') this.#staleDocuments.set(account.did, documentOf(account));
    }
  }

  /** One note for each victim, however often it was struck. */
  #note({ params, scope }: ActiveFault<CallFault>, { service, did, key }: Target): void {
    const id = `${params.fault} ${service} ${key}`;
    if (this.#noted.has(id)) return;
    this.#noted.add(id);
    const expect = params.expect ?? expectationOf(params, scope);
    this.log.note({ fault: params.fault, expect, service, ...(did ? { did } : { note: key }) });
  }
}

function isCarFault(name: string): name is CarFaultName {
  return Object.hasOwn(CAR_FAULTS, name);
}

function isDocumentFault(name: string): name is DocumentFaultName | 'did-stale' {
  return name === 'did-stale' || Object.hasOwn(DOCUMENT_FAULTS, name);
}

function isHttpFault(name: string): name is HttpFaultName {
  return Object.hasOwn(HTTP_FAULTS, name);
}

/** What passes in the end is to be tried again; what never does ends in the dead letters. */
function expectationOf({ fault }: CallFault, scope: Scope): Expectation {
  if (fault === 'car-stale' || fault === 'did-stale') return 'any';
  const rule = isHttpFault(fault) ? httpFault(fault).expect : 'retry';
  const isLasting =
    scope.times === undefined && scope.timesEach === undefined && scope.probability === undefined;
  const isOfRepo = isCarFault(fault) || isDocumentFault(fault) || scope.did !== undefined;
  return rule === 'retry' && isLasting && isOfRepo && fault !== 'rate-limit' ? 'dead-letter' : rule;
}

function targetOf(call: Call): Target {
  const { service, method, params, path } = call;
  const did = params.get('did') ?? (service === 'plc' ? didOf(path) : undefined);
  const key = did ?? (method.includes('.list') ? `${method} ${placeOf(call).start}` : method);
  return { service, method, did, key };
}

function didOf(path: string): string | undefined {
  const did = path.split('/')[1];
  return did?.startsWith('did:') ? did : undefined;
}

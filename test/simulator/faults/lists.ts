import { cidOf, cidText } from '../protocol/cid.ts';
import { madeUpDid } from '../protocol/did.ts';
import type { Call, Handler } from '../servers/http.ts';
import { placeOf } from '../servers/list.ts';
import { error, json, send } from '../servers/reply.ts';
import type { HttpParams } from './http.ts';

// What hosts do to those who read their lists.

/** No page that holds the line is ever given; smaller pages around it are. */
export function erringPage(call: Call, _: Handler, { line = 0 }: HttpParams): boolean {
  const { start, limit } = placeOf(call);
  if (line < start || line >= start + limit) return false;
  send(call.res, error(500, 'InternalServerError', 'page can not be made'));
  return true;
}

/** No repos, but a cursor: the next page goes on from here. */
export function emptyPage(call: Call): boolean {
  send(call.res, json({ repos: [], cursor: `empty:${placeOf(call).start}` }));
  return true;
}

/** A page of repos that are all gone, put in front of the page that was asked for. */
export function inactivePage(call: Call): boolean {
  const { start, limit } = placeOf(call);
  const repos = Array.from({ length: Math.min(limit, 200) }, (_, i) => ({
    did: madeUpDid(`${call.service} ${start} ${i}`),
    head: cidText(cidOf(Buffer.from(`${i}`))),
    rev: '3kaaaaaaaaa22',
    active: false,
    status: 'deleted',
  }));
  send(call.res, json({ repos, cursor: `inactive:${start}` }));
  return true;
}

/** The true page with the cursor that led to it: whoever follows it never gets on. */
export function loopingPage(call: Call, handle: Handler): boolean {
  const { start } = placeOf(call);
  const page = JSON.parse(handle(call).body.toString()) as { cursor?: string };
  send(call.res, json({ ...page, cursor: String(start) }));
  return true;
}

/** Lines of other shapes between the true ones. */
export function garbledPage(call: Call, handle: Handler): boolean {
  const page = JSON.parse(handle(call).body.toString()) as { repos: unknown[] };
  const odd = [
    null,
    7,
    {},
    { did: 'nonsense' },
    { did: 5, rev: [] },
    [],
    { did: `did:plc:${'x'.repeat(3000)}` },
  ];
  page.repos.splice(Math.floor(page.repos.length / 2), 0, ...odd);
  send(call.res, json(page));
  return true;
}

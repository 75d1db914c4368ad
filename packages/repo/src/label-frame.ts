import type { Label } from '@headwater/events';
import type { CborMap, CborValue } from './cbor.ts';
import { RepoError } from './errors.ts';
import type { InfoFrame, UnknownFrame } from './frame.ts';
import { asMap, type ErrorFrame, errorFrame, list, optional, sequence, splitFrame, text } from './frame.ts';

export interface LabelsFrame {
  type: '#labels';
  seq: number;
  labels: Label[];
  /** How many of the frame's labels lack a field or have one of a wrong type: they are left out. */
  malformed: number;
}

export type LabelFrame = LabelsFrame | InfoFrame | ErrorFrame | UnknownFrame;

/**
 * Decodes a frame of com.atproto.label.subscribeLabels. Signatures are not
 * verified, texts not compared with their formats.
 *
 * @throws RepoError `bad-frame`, `bad-cbor`, `too-large`
 */
export function decodeLabelFrame(bytes: Uint8Array): LabelFrame {
  const { type, body } = splitFrame(bytes);
  switch (type) {
    case 'error':
      return errorFrame(body);
    case '#info':
      return { type, name: text(body, 'name'), message: optional(body, 'message') };
    case '#labels': {
      const stated = list(body, 'labels');
      const labels = stated.map(readLabel).filter((label) => label !== undefined);
      return { type, seq: sequence(body), labels, malformed: stated.length - labels.length };
    }
    default:
      return { type: 'unknown', name: type, seq: typeof body.seq === 'number' ? body.seq : undefined };
  }
}

function readLabel(value: CborValue): Label | undefined {
  try {
    const map = asMap(value, 'a label');
    const label: Label = {
      src: text(map, 'src'),
      uri: text(map, 'uri'),
      val: text(map, 'val'),
      cts: text(map, 'cts'),
    };
    return Object.assign(label, optionalFields(map));
  } catch (error) {
    if (error instanceof RepoError) return undefined;
    throw error;
  }
}

function optionalFields(map: CborMap): Partial<Label> {
  const fields: Partial<Label> = {};
  const cid = optional(map, 'cid');
  const exp = optional(map, 'exp');
  if (cid !== undefined) fields.cid = cid;
  if (exp !== undefined) fields.exp = exp;
  if (typeof map.ver === 'number') fields.ver = map.ver;
  if (typeof map.neg === 'boolean') fields.neg = map.neg;
  if (map.sig instanceof Uint8Array) {
    fields.sig = { $bytes: Buffer.from(map.sig).toString('base64').replace(/=+$/, '') };
  }
  return fields;
}

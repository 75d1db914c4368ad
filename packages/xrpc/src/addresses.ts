import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { XrpcError } from './errors.ts';

/** IPv4 that is not a host on the public internet (IANA special-purpose registry, multicast, reserved). */
const special4 = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const) {
  special4.addSubnet(net, bits, 'ipv4');
}

/**
 * Whether an IP address is one of the public internet. Everything else (private,
 * loopback, link-local, CGNAT, multicast, documentation, IPv4 inside IPv6 by
 * mapping, NAT64, 6to4 or Teredo that leads to such) is not; nor is what is no address.
 */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special4.check(address, 'ipv4');
    case 6:
      return isPublic6(wordsOf(address));
    default:
      return false;
  }
}

function isPublic6(w: number[]): boolean {
  const zeros = (from: number, to: number) => w.slice(from, to).every((word) => word === 0);
  // ::ffff:a.b.c.d and 64:ff9b::a.b.c.d (the resolver's NAT64) are as public as what they lead to.
  if (zeros(0, 5) && w[5] === 0xffff) return isPublicAddress(dotted(w[6]!, w[7]!));
  if (w[0] === 0x64 && w[1] === 0xff9b && zeros(2, 6)) return isPublicAddress(dotted(w[6]!, w[7]!));
  if (w[0]! >> 13 !== 1) return false; // only 2000::/3 is global unicast
  if (w[0] === 0x2001 && w[1]! < 0x200) return false; // 2001::/23: Teredo, ORCHID, benchmarking
  if (w[0] === 0x2001 && w[1] === 0xdb8) return false;
  return w[0] !== 0x2002 && !(w[0] === 0x3fff && w[1]! < 0x1000);
}

/** The eight words of a valid IPv6 address. */
function wordsOf(address: string): number[] {
  const plain = address
    .replace(/%.*$/, '')
    .replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
      [(+a << 8) | +b, (+c << 8) | +d].map((n) => n.toString(16)).join(':'),
    );
  const [head = '', tail] = plain.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':').map((hex) => Number.parseInt(hex, 16)));
  const before = words(head);
  const after = tail === undefined ? [] : words(tail);
  return [...before, ...new Array(8 - before.length - after.length).fill(0), ...after];
}

function dotted(high: number, low: number): string {
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/**
 * A resolver for sockets that gives public addresses only, so that the check
 * holds for the very address that is connected to (a second look at DNS could
 * see another one).
 */
export const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (err, addresses) => {
    if (err) return callback(err, []);
    const open = addresses.filter(({ address }) => isPublicAddress(address));
    if (open.length === 0) return callback(refused(hostname), []);
    if (options.all) return callback(null, open);
    callback(null, open[0]!.address, open[0]!.family);
  });
};

/**
 * The check that a resolver never sees: an address written in the URL itself.
 *
 * @throws XrpcError `refused-address`
 */
export function checkLiteral(hostname: string): void {
  const bare = hostname.replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0 && !isPublicAddress(bare)) throw refused(bare);
}

function refused(hostname: string): XrpcError {
  return new XrpcError('refused-address', `${hostname} is not an address of the public internet`);
}

/** V8 notices an inheritor that is read as often as this. */
const READS = 1000;

/**
 * Has V8 keep the methods of texts where optimised code finds them at once. A class of ioredis extends String, upon
 * which V8 makes a dictionary of String.prototype: until somebody reads an object that inherits from it (texts themselves
 * don't count), every `charCodeAt` or `slice` of the whole process is looked up anew, at 5 % of a service's CPU.
 */
export function quickenTexts(): void {
  const inheritor = Object.create(String.prototype) as string;
  for (let i = 0; i < READS; i++) {
    if (inheritor.charCodeAt === undefined) return;
  }
}

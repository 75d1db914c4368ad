type Figure = number | null | undefined;
export function safe(text: string | number): string;
export function count(n: Figure): string;
export function span(seconds: Figure): string;
export function bytes(n: Figure): string;
export function rate(n: Figure): string;

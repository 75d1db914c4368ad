import type { Overview } from '../overview.ts';

/** All sections of the page as HTML. */
export function renderPage(overview: Overview, options: { operator: boolean }): string;

/**
 * Limits of V8 for every service, so that none takes more than 400 MB whatever the size of repos: as
 * deploy/Dockerfile gives them, which says why.
 */
export const nodeLimits = ['--max-old-space-size=224', '--max-semi-space-size=8'];

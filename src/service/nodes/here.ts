import { hostname } from 'node:os';

/** Whether a host of a connection string is this one, as far as its name says; undefined is libpq's default. */
export function isHere(host: string | undefined): boolean {
  if (host === undefined || host.startsWith('/') || /^(localhost|127\.[\d.]+|::1)$/.test(host)) return true;
  return host.toLowerCase() === hostname().toLowerCase();
}

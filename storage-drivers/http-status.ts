import type { ErrorCode } from '../src/errors.ts';

/** What a store's HTTP status means where the store says nothing more exact. */
export function codeOfStatus(status: number | undefined): ErrorCode {
  switch (status) {
    case 401:
    case 403:
    case 407:
      return 'STORAGE_DENIED';
    case 404:
      return 'STORAGE_OBJECT_MISSING';
    case 412:
      return 'STORAGE_OBJECT_EXISTS';
    case 416:
      return 'STORAGE_SIZE';
    case 507:
      return 'STORAGE_FULL';
    case undefined:
    default:
      return 'STORAGE_UNAVAILABLE';
  }
}

import { systemErrorCode, WaldenError } from '../../src/errors.ts';

/** From an error of the file system to the contract's codes. ENOENT is judged where it happens. */
export function localError(error: unknown, attempted: string): WaldenError {
  if (error instanceof WaldenError) return error;
  const reason = systemErrorCode(error) ?? (error instanceof Error ? error.message : String(error));
  return new WaldenError(codeOf(reason), `unable to ${attempted} (${reason})`, { cause: error });
}

function codeOf(reason: string): 'STORAGE_FULL' | 'STORAGE_DENIED' | 'STORAGE_UNAVAILABLE' {
  if (reason === 'ENOSPC' || reason === 'EDQUOT') return 'STORAGE_FULL';
  if (reason === 'EACCES' || reason === 'EPERM' || reason === 'EROFS') return 'STORAGE_DENIED';
  return 'STORAGE_UNAVAILABLE';
}

import type { ClusterIdentity } from '../../../catalog/catalog.ts';
import { WaldenError } from '../../errors.ts';

/** @throws SERVER_MISMATCH */
export function assertOwnServer(found: ClusterIdentity, expected: ClusterIdentity): void {
  const refuse = (what: string, theirs: string, ours: string): WaldenError =>
    new WaldenError('SERVER_MISMATCH', `the server has ${what} ${theirs}, and the archive is of ${what} ${ours}`, {
      hint: 'check replication_conninfo, or else conninfo, and the name of the cluster',
    });
  if (found.systemIdentifier !== expected.systemIdentifier) {
    throw refuse('system identifier', found.systemIdentifier, expected.systemIdentifier);
  }
  if (found.majorVersion !== expected.majorVersion) {
    throw refuse('version', `${found.majorVersion}`, `${expected.majorVersion}`);
  }
  if (found.segmentBytes !== expected.segmentBytes) {
    throw refuse('segments of bytes', `${found.segmentBytes}`, `${expected.segmentBytes}`);
  }
}

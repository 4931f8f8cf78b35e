import type { BackupListDocument, ClusterStatusDocument, WalGapsDocument, WalListDocument } from '../../service/api.ts';
import type { DrillListDocument, VerificationListDocument } from '../../service/api-proof.ts';

/** The documents of the API that a report is made of. */
export interface ReportData {
  readonly at: Date;
  readonly version: string;
  readonly status: ClusterStatusDocument;
  readonly backups: BackupListDocument['backups'];
  readonly ranges: WalListDocument['ranges'];
  readonly gaps: WalGapsDocument['gaps'];
  readonly drills: DrillListDocument['drills'];
  readonly verified: VerificationListDocument['verified'];
}

import { type Static, Type } from '../typebox.ts';
import type { ClusterIdentity } from '../../catalog/catalog.ts';
import { systemIdentifier } from '../postgres/lsn.ts';
import { segmentBytes } from '../postgres/wal-name.ts';

/** The members by which every stored document says whose it is. */
export const IDENTITY_MEMBERS = {
  systemIdentifier: Type.String(),
  majorVersion: Type.Integer({ minimum: 1, maximum: 999 }),
  segmentBytes: Type.Integer(),
};

/** @throws FORMAT_INVALID */
export function identityFromJson(json: Static<Type.TObject<typeof IDENTITY_MEMBERS>>): ClusterIdentity {
  return {
    systemIdentifier: systemIdentifier(json.systemIdentifier),
    majorVersion: json.majorVersion,
    segmentBytes: segmentBytes(json.segmentBytes),
  };
}

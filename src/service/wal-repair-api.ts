import { type Static, Type } from '../typebox.ts';
import { ErrorBody, LsnText, Nullable } from './api-parts.ts';

/** The documents of `walden wal repair`. */

export const WalRepairRequest = Type.Object(
  {
    from: Type.Optional(
      Type.Array(Type.String({ maxLength: 2000 }), {
        maxItems: 50,
        description: 'absolute paths of data directories, and connection strings without a password',
      }),
    ),
    dryRun: Type.Optional(Type.Boolean({ description: 'only say what would be done' })),
  },
  { additionalProperties: false },
);

const RunOfNames = { timeline: Type.Integer(), first: Type.String(), last: Type.String(), segments: Type.Integer() };

/** The result of the job, also in the details of the error with which one ends that has not found everything. */
export const WalRepairDocument = Type.Object({
  cluster: Type.String(),
  dryRun: Type.Boolean(),
  /** Whom it asked; `error`: why it could not be. */
  nodes: Type.Array(Type.Object({ name: Type.String(), error: Nullable(ErrorBody) })),
  /** `behindFork`: the newest timeline has left theirs before them. */
  repaired: Type.Array(Type.Object({ ...RunOfNames, from: Type.String(), behindFork: Type.Boolean() })),
  /** Histories and what else is no segment. */
  files: Type.Array(Type.Object({ name: Type.String(), from: Type.String() })),
  /** Last segments of dead servers, stored as far as they had come. */
  tails: Type.Array(
    Type.Object({ segment: Type.String(), end: Nullable(LsnText), from: Type.String(), behindFork: Type.Boolean() }),
  ),
  leftBehind: Type.Array(Type.Object({ segment: Type.String(), node: Type.String(), reason: Type.String() })),
  /** Of which the archive has other bytes. */
  differing: Type.Array(Type.Object({ name: Type.String(), from: Type.String(), message: Type.String() })),
  missing: Type.Array(
    Type.Object({
      ...RunOfNames,
      reasons: Type.Array(Type.Object({ node: Type.String(), reason: Type.String() })),
    }),
  ),
});

export type WalRepairRequest = Static<typeof WalRepairRequest>;
export type WalRepairDocument = Static<typeof WalRepairDocument>;

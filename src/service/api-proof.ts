import { type Static, Type } from '../typebox.ts';
import { ErrorBody, LsnText, Moment, Nullable } from './api-parts.ts';

/** The documents of the API about proof: what was verified, what is damaged, what drills have shown. */

/** An object that is missing, or is not what was stored. */
export const DamagedDocument = Type.Object({
  repository: Type.String(),
  key: Type.String(),
  /** Of which WAL file or backup it is a part; the other one is null. */
  walFile: Nullable(Type.String()),
  backup: Nullable(Type.String()),
  error: ErrorBody,
  foundAt: Moment,
});

/** How far the verification of a repository has come. */
export const VerificationSummary = Type.Object({
  /** Of what was verified longest ago; null: nothing was. */
  oldestAt: Nullable(Moment),
  neverSegments: Type.Integer(),
  /** Backups of which something was never verified. */
  neverBackups: Type.Integer(),
  damagedObjects: Type.Integer(),
  /** The first hundred. */
  damaged: Type.Array(DamagedDocument),
});

/** Objects that were verified at one moment, or (null) never. */
export const VerifiedDocument = Type.Object({
  repository: Type.String(),
  /** A backup and how many of its objects, or segments from one to another. */
  backup: Nullable(Type.String()),
  objects: Type.Integer(),
  first: Nullable(Type.String()),
  last: Nullable(Type.String()),
  verifiedAt: Nullable(Moment),
});
export const VerificationList = Type.Object({ cluster: Type.String(), verified: Type.Array(VerifiedDocument) });

export const DrillDocument = Type.Object({
  id: Type.String(),
  cluster: Type.String(),
  startedAt: Moment,
  finishedAt: Moment,
  outcome: Type.Union([Type.Literal('passed'), Type.Literal('failed')]),
  /** In words. */
  target: Type.String(),
  repository: Nullable(Type.String()),
  backup: Nullable(Type.String()),
  restore: Nullable(Type.Object({ files: Type.Integer(), bytes: Type.Integer(), seconds: Type.Number() })),
  /** From the start of the server to the end of recovery. */
  recovery: Nullable(Type.Object({ walBytes: Type.Integer(), seconds: Type.Number() })),
  reached: Nullable(Type.Object({ timeline: Type.Integer(), lsn: LsnText, lastCommit: Nullable(Moment) })),
  checks: Type.Array(
    Type.Object({
      name: Type.String(),
      outcome: Type.Union([Type.Literal('passed'), Type.Literal('failed'), Type.Literal('skipped')]),
      detail: Type.String(),
    }),
  ),
  error: Nullable(ErrorBody),
});
export const DrillList = Type.Object({ cluster: Type.String(), drills: Type.Array(DrillDocument) });

export const VerifyRequest = Type.Object(
  {
    backup: Type.Optional(Type.String({ maxLength: 100, description: 'only this one and what it needs' })),
    repository: Type.Optional(Type.String({ maxLength: 100, description: 'by default all of the cluster' })),
    share: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'of the stored bytes' })),
    bytes: Type.Optional(Type.Integer({ minimum: 1, description: 'how much is read, of all repositories together' })),
  },
  { additionalProperties: false },
);

export type DamagedDocument = Static<typeof DamagedDocument>;
export type VerificationSummary = Static<typeof VerificationSummary>;
export type VerifiedDocument = Static<typeof VerifiedDocument>;
export type VerificationListDocument = Static<typeof VerificationList>;
export type DrillDocument = Static<typeof DrillDocument>;
export type DrillListDocument = Static<typeof DrillList>;
export type VerifyRequest = Static<typeof VerifyRequest>;

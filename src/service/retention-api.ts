import { type Static, Type } from '../typebox.ts';
import { JobDocument } from './api.ts';

/** The documents of the HTTP API that are about retention; moments, LSNs and sizes as in api.ts. */

const Text = Type.String();
const NullableText = Type.Union([Text, Type.Null()]);

const SegmentsDocument = Type.Object({
  timeline: Type.Integer(),
  first: Type.String({ description: 'name of the first segment' }),
  last: Type.String({ description: 'name of the last segment' }),
  segments: Type.Integer(),
});

export const RepositoryExpiry = Type.Object({
  repository: Text,
  /** Why nothing is decided here at all; null: it is. */
  skipped: NullableText,
  /** Why nothing goes, whatever the policy says. */
  blocked: NullableText,
  goes: Type.Object({
    /** In the order of their removal. */
    backups: Type.Array(Type.Object({ id: Text, stoppedAt: Text, storedBytes: Type.Integer() })),
    wal: Type.Array(SegmentsDocument),
    otherWalFiles: Type.Array(Text),
    /** What crashed work left: backups that were begun, holds of backups that are gone, unfinished segments. */
    leftovers: Type.Object({ backups: Type.Array(Text), holds: Type.Array(Text), unfinished: Type.Array(Text) }),
  }),
  stays: Type.Object({
    backups: Type.Array(
      Type.Object({
        id: Text,
        stoppedAt: Text,
        reasons: Type.Array(Text),
        /** Why it cannot be restored; null for a usable one. */
        unusable: NullableText,
      }),
    ),
    wal: Type.Array(Type.Intersect([SegmentsDocument, Type.Object({ reason: Text })])),
  }),
  /** Objects that are not Walden's: the first hundred, and how many. They are never removed. */
  unknown: Type.Object({ keys: Type.Array(Text), count: Type.Integer() }),
});

/** What would be removed at that moment. */
export const ExpiryPlanDocument = Type.Object({
  cluster: Text,
  at: Text,
  notes: Type.Array(Text),
  repositories: Type.Array(RepositoryExpiry),
});

/** The result of a job of kind `expire`: what its last plan says, and what was done. */
export const ExpiryResult = Type.Object({
  repositories: Type.Array(
    Type.Intersect([
      RepositoryExpiry,
      Type.Object({
        done: Type.Object({
          backups: Type.Array(Text),
          walFiles: Type.Integer(),
          leftovers: Type.Integer(),
          /** What the store keeps: the first hundred, and until when, where it says so. */
          refused: Type.Array(Type.Object({ what: Text, message: Text, until: NullableText })),
        }),
      }),
    ]),
  ),
});

export const ExpiryPlanRequest = Type.Object(
  { at: Type.Optional(Type.String({ maxLength: 200, description: 'a future moment; by default now' })) },
  { additionalProperties: false },
);

export const HoldRequest = Type.Object(
  {
    until: Type.Optional(Type.String({ maxLength: 200, description: 'by default until it is released' })),
    reason: Type.Optional(Type.String({ maxLength: 500 })),
  },
  { additionalProperties: false },
);

export const HoldDocument = Type.Object({
  cluster: Text,
  backup: Text,
  /** Those in which it was noted. */
  repositories: Type.Array(Text),
  until: NullableText,
  reason: NullableText,
  notes: Type.Array(Text),
});

export const ExpiryStarted = Type.Object({ job: JobDocument });

export type RepositoryExpiryDocument = Static<typeof RepositoryExpiry>;
export type ExpiryPlanDocument = Static<typeof ExpiryPlanDocument>;
export type ExpiryPlanRequest = Static<typeof ExpiryPlanRequest>;
export type ExpiryResultDocument = Static<typeof ExpiryResult>;
export type HoldRequest = Static<typeof HoldRequest>;
export type HoldDocument = Static<typeof HoldDocument>;

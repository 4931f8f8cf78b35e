import { type Static, Type } from '../typebox.ts';
import { Moment, Nullable } from './api-parts.ts';
import { JobDocument } from './api.ts';

/** The documents that tell what runs, what is to come, and what happened. Conventions as in api.ts. */

/** A run of a schedule that is to come. */
export const UpcomingDocument = Type.Object({
  schedule: Type.String(),
  cluster: Type.String(),
  job: Type.String({ description: 'what the schedule names' }),
  kind: Type.String({ description: 'of the job that it begins' }),
  cron: Type.String(),
  timeZone: Type.String(),
  /** Null: never again. */
  at: Nullable(Moment),
  /** It is due, and waits for another job of its kind, or to be tried again. */
  waiting: Type.Boolean(),
});
/** Newest first; what is to come in the order in which it comes. */
export const JobList = Type.Object({ upcoming: Type.Array(UpcomingDocument), jobs: Type.Array(JobDocument) });

/** Something that changed the archive, or that needs eyes. */
export const EventDocument = Type.Object({
  /** Ascending; 0 for one that could not be recorded. */
  id: Type.Integer(),
  at: Moment,
  /** Null: it concerns the service. */
  cluster: Nullable(Type.String()),
  kind: Type.String(),
  level: Type.Union([Type.Literal('info'), Type.Literal('warning'), Type.Literal('error')]),
  /** Of what: the same for a trouble and for its end. */
  subject: Nullable(Type.String()),
  message: Type.String(),
  facts: Type.Record(Type.String(), Type.Unknown()),
});
/** In the order of their recording. */
export const EventList = Type.Object({ events: Type.Array(EventDocument) });

export type JobListDocument = Static<typeof JobList>;
export type UpcomingDocument = Static<typeof UpcomingDocument>;
export type EventDocument = Static<typeof EventDocument>;
export type EventListDocument = Static<typeof EventList>;

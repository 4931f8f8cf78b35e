import { type Static, Type } from '../typebox.ts';
import { ErrorBody, Moment, Nullable } from './api-parts.ts';

/** The documents that tell which node writes which timeline. Conventions as in api.ts. */

/** A data directory on a host. */
export const NodePlace = Type.Object({ host: Type.String(), dataDirectory: Type.String() });

export const TimelineWriterDocument = Type.Object({ timeline: Type.Integer(), node: NodePlace, since: Moment });

/** A node whose WAL is refused because another one writes the timeline. */
export const SecondWriterDocument = Type.Object({
  timeline: Type.Integer(),
  node: NodePlace,
  /** Null: it is known no more. */
  writer: Nullable(NodePlace),
  file: Type.String({ description: 'what it offered last' }),
  error: ErrorBody,
  firstAt: Moment,
  lastAt: Moment,
  attempts: Type.Integer(),
});

/** Timelines ascending. */
export const WriterList = Type.Object({
  cluster: Type.String(),
  writers: Type.Array(TimelineWriterDocument),
  refused: Type.Array(SecondWriterDocument),
});

export const AcceptWriterRequest = Type.Object(
  {
    timeline: Type.Integer({ minimum: 1, maximum: 0xffff_ffff }),
    node: Type.String({ maxLength: 8000, description: 'HOST:DIRECTORY, as it is shown' }),
  },
  { additionalProperties: false },
);

export type TimelineWriterDocument = Static<typeof TimelineWriterDocument>;
export type SecondWriterDocument = Static<typeof SecondWriterDocument>;
export type WriterListDocument = Static<typeof WriterList>;
export type AcceptWriterRequest = Static<typeof AcceptWriterRequest>;

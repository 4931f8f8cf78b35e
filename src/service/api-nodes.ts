import { type Static, Type } from '../typebox.ts';
import { ErrorBody, LsnText, Moment, Nullable } from './api-parts.ts';

/** The documents of the API about nodes: where the servers of a cluster are, and what each says of itself now. */

/** Where a node gets WAL besides streaming. */
const RestoreCommand = Type.Object({
  /** `service`: walden-fetch; `repository`: Walden without a service; `other`: anything else. */
  kind: Type.Union([Type.Literal('none'), Type.Literal('service'), Type.Literal('repository'), Type.Literal('other')]),
  /**
   * The repository, or the first word of another command; of walden-fetch its configuration, or null where that leads to the
   * service that was asked.
   */
  name: Nullable(Type.String()),
});

export const NodeDocument = Type.Object({
  name: Type.String(),
  /** How it became known; `unregistered`: only its upstream knows it. */
  origin: Type.Union([
    Type.Literal('configured'),
    Type.Literal('clone'),
    Type.Literal('restore'),
    Type.Literal('operator'),
    Type.Literal('unregistered'),
  ]),
  registeredAt: Nullable(Moment),
  host: Nullable(Type.String()),
  dataDirectory: Nullable(Type.String()),
  /** Without a password. */
  conninfo: Nullable(Type.String()),
  role: Type.Union([
    Type.Literal('primary'),
    Type.Literal('standby'),
    Type.Literal('not running'),
    Type.Literal('unknown'),
  ]),
  /** Of a server: running, or as its WAL receiver says; of one that is down: as its control file says; else unreachable. */
  state: Type.String(),
  /** Why nothing more is known. */
  failure: Nullable(ErrorBody),
  /** Another node of the list, which is the same server. */
  sameAs: Nullable(Type.String()),
  majorVersion: Nullable(Type.Integer()),
  timeline: Nullable(Type.Integer()),
  /** The end of the WAL of a primary; up to where a standby has replayed; the last checkpoint of a server that is down. */
  lsn: Nullable(LsnText),
  /** `host:port` of the server that it follows. */
  upstream: Nullable(Type.String()),
  /** What the primary has and this one has not replayed. */
  lagBytes: Nullable(Type.Integer()),
  /** 0, or how long ago the last commit was made that it has replayed. */
  lagSeconds: Nullable(Type.Number()),
  /** Configured: how long a commit waits before it is applied. */
  delaySeconds: Nullable(Type.Number()),
  slot: Nullable(Type.String()),
  /** What the slot keeps on the upstream, and its state there (wal_status). */
  slotRetainedBytes: Nullable(Type.Integer()),
  slotStatus: Nullable(Type.String()),
  /** Where WAL comes from: streaming from this host, and this restore_command (null: not shown). */
  fetches: Type.Object({ streamingFrom: Nullable(Type.String()), restoreCommand: Nullable(RestoreCommand) }),
  /** What the role was not shown. */
  notes: Type.Array(Type.String()),
  /** When it answered last, and what it was then. */
  seen: Nullable(
    Type.Object({
      at: Moment,
      role: Type.Union([Type.Literal('primary'), Type.Literal('standby')]),
      timeline: Nullable(Type.Integer()),
      lsn: Nullable(LsnText),
    }),
  ),
});

export const ClusterNodes = Type.Object({
  cluster: Type.String(),
  nodes: Type.Array(NodeDocument),
  /** What cannot be right, for people. */
  warnings: Type.Array(Type.String()),
});
export const NodeList = Type.Object({ clusters: Type.Array(ClusterNodes) });

export const AddNodeRequest = Type.Object(
  {
    name: Type.String({ maxLength: 100 }),
    conninfo: Type.String({ maxLength: 2000, description: 'without a password' }),
  },
  { additionalProperties: false },
);

/** What was done to the registry. */
export const NodeAnswer = Type.Object({
  cluster: Type.String(),
  name: Type.String(),
  notes: Type.Array(Type.String()),
});

export type NodeDocument = Static<typeof NodeDocument>;
export type ClusterNodesDocument = Static<typeof ClusterNodes>;
export type NodeListDocument = Static<typeof NodeList>;
export type AddNodeRequest = Static<typeof AddNodeRequest>;
export type NodeAnswerDocument = Static<typeof NodeAnswer>;

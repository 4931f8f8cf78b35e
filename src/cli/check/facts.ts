import type { ClusterConfig } from '../../config/config.ts';
import type { WaldenError } from '../../errors.ts';
import type { ClusterStatusDocument, StatusDocument } from '../../service/api.ts';
import type { InspectionDocument } from '../../service/inspection-document.ts';
import type { DiskRoom } from '../../setup/disk-rooms.ts';
import type { ServerView } from '../../setup/server-view.ts';
import type { SetupPlan } from '../../setup/set-up-cluster.ts';

/** What was gathered before anything is judged: each part, or why it could not be had. */
export interface CheckFacts {
  readonly config: ClusterConfig;
  readonly now: Date;
  readonly service: Gathered<ServiceView>;
  readonly server: Gathered<ServerFacts>;
  /** As the service sees them, or else whoever checks. */
  readonly rooms: readonly DiskRoom[];
  /** Whether WAL that was just written arrived; undefined where that could not be tried. */
  readonly arrival: Arrival | undefined;
}

export type Gathered<Value> = { readonly value: Value } | { readonly error: WaldenError };

export interface ServiceView {
  readonly version: string;
  readonly catalogRebuild: StatusDocument['catalogRebuild'];
  readonly status: ClusterStatusDocument;
  readonly inspection: InspectionDocument;
}

export interface ServerFacts extends ServerView {
  readonly setup: SetupPlan;
  /** What settings that wait for a restart need. */
  readonly restart: string | undefined;
}

export interface Arrival {
  readonly segment: string;
  readonly seconds: number;
  /** Required repositories that do not have it after all this time. */
  readonly missingIn: readonly string[];
  /** Why it could not be asked any more. */
  readonly error: WaldenError | undefined;
}

export type CheckOutcome = 'ok' | 'warning' | 'failed';

export interface CheckLine {
  /** What was looked at. */
  readonly name: string;
  readonly outcome: CheckOutcome;
  /** The fact. */
  readonly message: string;
  /** What to do, where something is to be done. */
  readonly fix: string | null;
  readonly measures?: readonly Measure[];
}

/** For a plugin's performance data: label and unit are part of the interface. */
export interface Measure {
  readonly label: string;
  readonly value: number;
  readonly unit: 's' | 'B' | '';
  /** Above it the line is no longer ok. */
  readonly warning?: number;
}

/** Pure: what it says follows from the facts alone. Nothing to say is an empty list. */
export type Check = (facts: CheckFacts) => readonly CheckLine[];

export function ok(name: string, message: string, ...measures: readonly Measure[]): CheckLine {
  return { name, outcome: 'ok', message, fix: null, measures };
}

export function warning(name: string, message: string, fix: string, ...measures: readonly Measure[]): CheckLine {
  return { name, outcome: 'warning', message, fix, measures };
}

export function failed(name: string, message: string, fix: string, ...measures: readonly Measure[]): CheckLine {
  return { name, outcome: 'failed', message, fix, measures };
}

/** `undefined` where it could not be had: whoever gathered it says why. */
export function valueOf<Value>(gathered: Gathered<Value>): Value | undefined {
  return 'value' in gathered ? gathered.value : undefined;
}

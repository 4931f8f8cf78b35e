import { hostsOf } from '../../postgres/conninfo.ts';
import type { NodeView, SenderView } from '../../setup/node-view.ts';

/** A registered node, as far as its upstream may know it. */
export interface Candidate {
  readonly host: string;
  /** Those that it says it uses, or that were recorded for it. */
  readonly slots: readonly string[];
  /** What it said of itself; undefined: it did not answer. */
  readonly view: NodeView | undefined;
}

/** The standbys of one upstream that none of these nodes can be. */
export function unknownSenders(
  senders: readonly SenderView[],
  candidates: readonly Candidate[],
): readonly SenderView[] {
  const bySlot = senders.filter(
    ({ slot }) => slot === undefined || !candidates.some(({ slots }) => slots.includes(slot)),
  );
  const unmatched = new Set(
    candidates.filter(({ slots, view }) => slots.length === 0 && view?.position.inRecovery !== false),
  );
  return bySlot.filter((sender) => {
    if (sender.slot !== undefined) return true;
    // Without a slot nothing but its name and its address tell one from another: each node stands for one of them.
    const node = [...unmatched].find((candidate) => mayBe(candidate, sender));
    if (node !== undefined) unmatched.delete(node);
    return node === undefined;
  });
}

function mayBe({ host, view }: Candidate, { applicationName, address }: SenderView): boolean {
  if (view === undefined) return host === address;
  if (view.receiver === undefined) return false;
  if (view.address !== undefined && address !== undefined && view.address !== address) return false;
  return namesOf(view).includes(applicationName);
}

/** How a WAL receiver calls itself: by its connection string, else by cluster_name (libpqrcv_connect). */
function namesOf({ settings }: NodeView): readonly string[] {
  const { primaryConninfo, clusterName } = settings;
  const byDefault = clusterName === undefined || clusterName === '' ? 'walreceiver' : clusterName;
  const named = primaryConninfo === undefined ? undefined : applicationNameIn(primaryConninfo);
  return [named ?? byDefault];
}

function applicationNameIn(conninfo: string): string | undefined {
  try {
    return hostsOf(conninfo)[0]?.applicationName;
  } catch {
    // Whatever an operator wrote that only libpq understands: the name is not known then.
    return undefined;
  }
}

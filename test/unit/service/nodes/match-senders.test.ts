import { describe, expect, it } from 'vitest';
import { type Candidate, unknownSenders } from '../../../../src/service/nodes/match-senders.ts';
import type { Lsn } from '../../../../src/postgres/lsn.ts';
import type { NodeView, SenderView } from '../../../../src/setup/node-view.ts';

function sender(facts: Partial<SenderView> = {}): SenderView {
  return {
    ...{ applicationName: 'walreceiver', address: undefined, slot: undefined, state: 'streaming' },
    ...{ replayed: 1n as Lsn, lagBytes: 0, lagSeconds: undefined },
    ...facts,
  };
}

/** A standby that streams. */
function standby(
  facts: {
    readonly host?: string;
    readonly slot?: string;
    readonly address?: string;
    readonly clusterName?: string;
    readonly primaryConninfo?: string;
  } = {},
): Candidate {
  const { host = 'db2', slot, address, clusterName = '', primaryConninfo = 'host=db1' } = facts;
  const view = {
    address,
    position: { inRecovery: true },
    receiver: { status: 'streaming' },
    settings: { clusterName, primaryConninfo },
  } as NodeView;
  return { host, slots: slot === undefined ? [] : [slot], view };
}

describe('unknownSenders', () => {
  it('knows a standby by its slot, whether it answers or not', () => {
    const known = sender({ slot: 'a' });
    expect(unknownSenders([known], [standby({ slot: 'a' })])).toEqual([]);
    expect(unknownSenders([known], [{ host: 'db2', slots: ['a'], view: undefined }])).toEqual([]);
    expect(unknownSenders([known], [standby({ slot: 'b' }), standby()])).toEqual([known]);
  });

  it('knows one without a slot by how it calls itself and where it is, and has each node stand for one', () => {
    const senders = [sender({ address: '192.0.2.2' }), sender({ address: '192.0.2.3' })];
    expect(unknownSenders(senders, [standby()])).toEqual([senders[1]]);
    expect(unknownSenders(senders, [standby({ address: '192.0.2.3' })])).toEqual([senders[0]]);
    expect(unknownSenders(senders, [standby(), standby()])).toEqual([]);
    expect(unknownSenders([sender()], [standby({ clusterName: 'db2' })])).toEqual([sender()]);
    const named = sender({ applicationName: 'db2' });
    expect(unknownSenders([named], [standby({ clusterName: 'db2' })])).toEqual([]);
    expect(unknownSenders([named], [standby({ primaryConninfo: 'host=db1 application_name=db2' })])).toEqual([]);
    expect(unknownSenders([named], [standby({ clusterName: 'db2', primaryConninfo: 'application_name=x' })])).toEqual([
      named,
    ]);
  });

  it('knows one that does not answer by its address', () => {
    const away: Candidate = { host: '192.0.2.2', slots: [], view: undefined };
    expect(unknownSenders([sender({ address: '192.0.2.2' })], [away])).toEqual([]);
    expect(unknownSenders([sender({ address: '192.0.2.3' })], [away])).toHaveLength(1);
  });
});

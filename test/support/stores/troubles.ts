import type { DriverOptions } from '../../../storage-drivers/registry.ts';
import type { FaultProxy } from '../fault-proxy.ts';
import { type HttpFault } from '../fault-proxy.ts';
import type { TcpFaultProxy } from '../tcp-fault-proxy.ts';
import { type Direction, type TcpFault } from '../tcp-fault-proxy.ts';
import { answersOf, type Errand, REQUESTS } from './errands.ts';

/** How often something goes wrong, from which request of its kind on. */
export interface Strokes {
  readonly nth?: number;
  readonly times?: number;
}

/** The way to a store, on which things go wrong when they are told to. */
export interface TroubledWay {
  readonly port: number;
  /** Connections of clients that are open. */
  readonly connections: number;
  /** How much has gone wrong. */
  readonly struck: number;
  clear(): void;
  stop(): Promise<void>;
}

/** One thing that goes wrong on the way to a store. */
export interface Trouble<Way extends TroubledWay = TroubledWay> {
  readonly what: string;
  /** Those that it can happen to. */
  readonly errands: readonly Errand[];
  strike(way: Way, errand: Errand, strokes?: Strokes): void;
}

const SHORT: readonly Errand[] = ['put', 'get', 'stat', 'list', 'remove'];
const ALL: readonly Errand[] = [...SHORT, 'part', 'end'];

/** What can go wrong on the way to a store. */
export function troublesOf(driver: DriverOptions['driver']): readonly Trouble[] {
  if (driver === 'local') throw new Error('there is no way to a store of this host');
  return driver === 'sftp' ? SSH_TROUBLES : httpTroubles(driver);
}

/** To a store that speaks HTTP, what happens to single requests. */
function httpTroubles(driver: Exclude<DriverOptions['driver'], 'local' | 'sftp'>): readonly Trouble<FaultProxy>[] {
  const trouble = (what: string, errands: readonly Errand[], fault: HttpFault): Trouble<FaultProxy> => ({
    what,
    errands,
    strike(way, errand, strokes) {
      way.plan(REQUESTS[driver][errand], fault, strokes);
    },
  });
  return [
    trouble('an answer of 500', ALL, { status: 500 }),
    trouble('an answer of 503 to slow down', SHORT, answersOf(driver).slowDown),
    trouble('an answer of 429', SHORT, { status: 429 }),
    trouble('a reset before the body', SHORT, 'reset before the body'),
    trouble('a reset behind the body', ALL, 'reset behind the body'),
    trouble('an answer that is lost', ALL, 'answer lost'),
    trouble('an answer that is cut', ['get', 'list'], 'answer cut'),
    trouble('bytes that change on their way to the store', ['put', 'part'], 'request changed'),
    trouble('a server that never answers', ['put', 'get', 'list'], 'silence'),
  ];
}

/** So much of a body is on its way when something happens to the connection. */
const MIDDLE_BYTES = 20_000;

/** To a store behind SSH, where only the connection can be hurt. */
const SSH_TROUBLES: readonly Trouble<TcpFaultProxy>[] = [
  sshTrouble('a reset on the way up', 'reset', 'up'),
  sshTrouble('a reset on the way down', 'reset', 'down'),
  sshTrouble('bytes that change on their way up', 'change', 'up'),
  sshTrouble('bytes that change on their way down', 'change', 'down'),
  sshTrouble('a server that hears nothing any more', 'silence', 'up'),
  sshTrouble('a server that never answers', 'silence', 'down'),
];

function sshTrouble(what: string, fault: TcpFault, direction: Direction): Trouble<TcpFaultProxy> {
  return {
    what,
    errands: fault === 'silence' ? ['put', 'get', 'list'] : SHORT,
    strike(way, errand, { times = 1 } = {}) {
      const inBody = (errand === 'put' && direction === 'up') || (errand === 'get' && direction === 'down');
      way.plan(fault, direction, { afterBytes: inBody ? MIDDLE_BYTES : 1, times });
    },
  };
}

import type { BackupDocument } from '../../service/api.ts';
import { formatMoment } from '../render/units.ts';
import { html, type Html } from './html.ts';
import type { ReportData } from './report-data.ts';

const WIDTH = 1000;
const LEFT = 110;
const ROW = 74;
const HEAD = 24;
const TICKS = 5;

/** From when to when: what is drawn, and where. */
interface Scale {
  readonly from: number;
  readonly to: number;
  readonly x: (moment: string) => number;
}

/** What can be reached when, by repository: windows, WAL with its holes, backups and what they build on, drills. */
export function timeLine(data: ReportData): Html {
  const { repositories } = data.status;
  const scale = scaleOf(data);
  if (scale === undefined) return html`<p class="note">Nothing has been archived yet.</p>`;
  const height = HEAD + repositories.length * ROW + 44;
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="What can be recovered, over time">
      ${ticks(scale, height - 20)}
      ${repositories.map(({ name }, index) => repositoryRow(data, name, HEAD + index * ROW, scale))}
      ${drillRow(data, HEAD + repositories.length * ROW, scale)}
    </svg>
    <p class="key dim">
      <i style="background:var(--window)"></i>recoverable<i style="background:var(--wal)"></i>WAL<i
        style="background:var(--bad)"
      ></i
      >missing or damaged<i style="background:var(--backup)"></i>backup (ring: incremental, with a line to what it
      builds on)<i style="background:var(--drill)"></i>drill
    </p>`;
}

function scaleOf({ ranges, backups, drills, status, at }: ReportData): Scale | undefined {
  const moments = [
    ...ranges.flatMap(({ firstCommit, lastCommit }) => [firstCommit, lastCommit]),
    ...backups.map(({ startedAt }) => startedAt),
    ...drills.map(({ startedAt }) => startedAt),
    ...status.repositories.flatMap(({ windows }) => windows.map(({ earliest }) => earliest)),
  ].filter((moment) => moment !== null);
  if (moments.length === 0) return undefined;
  const from = Math.min(...moments.map((moment) => Date.parse(moment)));
  const to = Math.max(...moments.map((moment) => Date.parse(moment)), at.getTime(), from + 60_000);
  const x = (moment: string): number =>
    Math.round((LEFT + ((Date.parse(moment) - from) / (to - from)) * (WIDTH - LEFT - 20)) * 10) / 10;
  return { from, to, x };
}

function ticks({ from, to, x }: Scale, height: number): readonly Html[] {
  return Array.from({ length: TICKS }, (_, index) => {
    const moment = new Date(from + ((to - from) * index) / (TICKS - 1)).toISOString();
    const anchor = index === 0 ? 'start' : index === TICKS - 1 ? 'end' : 'middle';
    return html`<line class="axis" x1="${x(moment)}" y1="${HEAD - 6}" x2="${x(moment)}" y2="${height}" />
      <text x="${x(moment)}" y="12" text-anchor="${anchor}">${formatMoment(moment).slice(0, 16)}</text>`;
  });
}

function repositoryRow(data: ReportData, name: string, y: number, scale: Scale): Html {
  return html`<text x="0" y="${y + 36}">${name}</text> ${windowBars(data, name, y + 4, scale)}
    ${walBars(data, name, y + 44, scale)}
    ${backupMarks(
      data.backups.filter(({ repository }) => repository === name),
      y + 22,
      scale,
    )}`;
}

/** In time, from the last commit before what is missing to the first one after it. */
interface Hole {
  readonly from: string;
  readonly to: string;
  readonly title: string;
}

/** A range without a commit has no place in time; the hole before one lies between two that have. */
function holesOf({ ranges }: ReportData, name: string): readonly Hole[] {
  const placed = ranges.filter(({ repository, firstCommit }) => repository === name && firstCommit !== null);
  return placed.flatMap(({ timeline, first, firstCommit }, index) => {
    const before = placed.slice(0, index).findLast((range) => range.timeline === timeline);
    const last = before?.lastCommit ?? null;
    if (before === undefined || last === null || firstCommit === null) return [];
    return [{ from: last, to: firstCommit, title: `missing after ${before.last}, up to ${first}` }];
  });
}

/** The window without what no backup reaches: from a hole up to the next backup behind it. */
function windowBars(data: ReportData, name: string, y: number, scale: Scale): readonly Html[] {
  const windows = data.status.repositories.find((one) => one.name === name)?.windows ?? [];
  const begins = data.backups
    .filter(({ repository, facts, damaged }) => repository === name && facts !== null && damaged === undefined)
    .map(({ facts }) => facts?.stoppedAt ?? '');
  return windows.flatMap(({ timeline, earliest, latest }) => {
    const end = latest ?? earliest;
    const parts: Html[] = [];
    let from = earliest;
    const add = (to: string): void => {
      if (from <= to) parts.push(bar('window', scale, [from, to], [y, 60], `recoverable on timeline ${timeline}`));
    };
    for (const hole of holesOf(data, name).filter((one) => one.from >= earliest && one.to <= end)) {
      add(hole.from);
      from = begins.find((begin) => begin >= hole.to) ?? '9';
    }
    add(end);
    return parts;
  });
}

function walBars(data: ReportData, name: string, y: number, scale: Scale): readonly Html[] {
  const own = data.ranges.filter(({ repository }) => repository === name);
  return [
    ...holesOf(data, name).map(({ from, to, title }) => bar('hole', scale, [from, to], [y, 12], title)),
    ...own.flatMap(({ first, last, firstCommit, lastCommit }) =>
      firstCommit === null || lastCommit === null
        ? []
        : [bar('wal', scale, [firstCommit, lastCommit], [y, 12], `WAL ${first} to ${last}`)],
    ),
  ];
}

function bar(
  kind: string,
  { x }: Scale,
  [from, to]: readonly [string, string],
  [y, height]: readonly [number, number],
  title: string,
): Html {
  const width = Math.max(2, x(to) - x(from));
  return html`<rect class="${kind}" x="${x(from)}" y="${y}" width="${width}" height="${height}" rx="2"
    ><title>${title}: ${formatMoment(from)} to ${formatMoment(to)}</title></rect
  >`;
}

function backupMarks(backups: readonly BackupDocument[], y: number, { x }: Scale): readonly Html[] {
  const place = (id: string): number | undefined => {
    const found = backups.find((backup) => backup.id === id);
    return found && x(found.startedAt);
  };
  const chains = backups.flatMap(({ facts, startedAt }) => {
    const parent = facts?.parent ?? null;
    const to = parent === null ? undefined : place(parent);
    if (to === undefined) return [];
    const from = x(startedAt);
    return [html`<path class="chain" d="M ${from} ${y} Q ${(from + to) / 2} ${y - 22} ${to} ${y}" />`];
  });
  const marks = backups
    .filter(({ state }) => state === 'complete')
    .map(({ id, facts, startedAt, damaged }) => {
      const kind = damaged !== undefined ? 'damaged' : (facts?.parent ?? null) === null ? 'full' : 'incremental';
      return html`<circle class="${kind}" cx="${x(startedAt)}" cy="${y}" r="6"
        ><title>backup ${id}${damaged === undefined ? '' : ', DAMAGED'}</title></circle
      >`;
    });
  return [...chains, ...marks];
}

function drillRow({ drills }: ReportData, y: number, { x }: Scale): Html {
  const marks = drills.map(({ startedAt, outcome }) => {
    const at = x(startedAt);
    const shape = `${at},${y + 6} ${at + 7},${y + 20} ${at - 7},${y + 20}`;
    return html`<polygon class="${outcome === 'passed' ? 'drill' : 'failed'}" points="${shape}"
      ><title>drill ${outcome}, ${formatMoment(startedAt)}</title></polygon
    >`;
  });
  return html`<text x="0" y="${y + 18}">drills</text>${marks}`;
}

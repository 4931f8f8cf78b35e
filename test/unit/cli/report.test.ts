import { describe, expect, it } from 'vitest';
import { renderReport } from '../../../src/cli/report/report.ts';
import { REPORT_DATA } from '../../support/report-data.ts';

const VOID = new Set(['meta', '!doctype']);

/** Tags that are closed in another order than they were opened, or not at all. */
function unbalanced(page: string): readonly string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  for (const [, close, name = '', rest = ''] of page.matchAll(/<(\/?)([!a-z][a-z0-9]*)((?:"[^"]*"|[^">])*)>/g)) {
    if (close === '/') {
      if (open.pop() !== name) wrong.push(`/${name}`);
    } else if (!rest.endsWith('/') && !VOID.has(name)) open.push(name);
  }
  return [...wrong, ...open];
}

describe('the report', () => {
  const page = renderReport(REPORT_DATA);

  it('shows windows, WAL, holes, backups with their chains, and drills in one picture', () => {
    const [picture = ''] = /<svg[^]*?<\/svg>/.exec(page) ?? [];
    const count = (pattern: RegExp): number => picture.match(pattern)?.length ?? 0;
    // Cut by the hole, up to the next backup that is not damaged.
    expect(count(/class="window"/g)).toBe(2);
    expect(count(/class="wal"/g)).toBe(2);
    expect(count(/class="hole"/g)).toBe(1);
    expect(count(/<circle class="full"/g)).toBe(2);
    expect(count(/<circle class="incremental"/g)).toBe(1);
    expect(count(/<circle class="damaged"/g)).toBe(1);
    expect(count(/class="chain"/g)).toBe(1);
    expect(count(/<polygon class="drill"/g)).toBe(1);
    expect(page).toContain('10 min to write, 5 min to recover');
    expect(page).toContain('2026-11-01 02:10:00 UTC to 2026-11-12 11:00:00 UTC');
  });

  it('escapes whatever it shows', () => {
    expect(page).not.toContain('<script');
    expect(page).toContain('&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;');
    expect(unbalanced(page)).toEqual([]);
  });

  it('needs nothing from elsewhere', () => {
    expect(page).not.toMatch(/https?:|@import|url\(|src=|href=/);
    expect(page).toContain("default-src 'none'");
    expect(page).toContain('prefers-color-scheme: dark');
  });

  it('is a page also where there is nothing yet', () => {
    const [repository] = REPORT_DATA.status.repositories;
    const verified = { oldestAt: null, neverSegments: 0, neverBackups: 0, damagedObjects: 0, damaged: [] };
    const empty = renderReport({
      ...REPORT_DATA,
      status: { ...REPORT_DATA.status, repositories: [{ ...repository!, windows: [], verification: verified }] },
      ...{ backups: [], ranges: [], gaps: [], drills: [], verified: [] },
    });
    expect(empty).toContain('Nothing has been archived yet.');
    expect(empty).toContain('NOT recoverable');
    expect(unbalanced(empty)).toEqual([]);
    expect(empty).not.toMatch(/NaN|undefined|Infinity/);
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });
});

import { describe, expect, it } from 'vitest';
import { renderWriters } from '../../../src/cli/render/writers.ts';

const NOW = new Date('2026-11-22T12:00:00Z');
const [AT, LATER] = ['2026-11-22T11:50:00.000000Z', '2026-11-22T11:59:00.000000Z'];

describe('walden cluster writer', () => {
  it('shows who writes each timeline, and who is refused with the way out', () => {
    const [one, two] = [
      { host: 'db1', dataDirectory: '/data' },
      { host: 'db2', dataDirectory: '/a copy' },
    ];
    const text = renderWriters(
      {
        cluster: 'main',
        writers: [
          { timeline: 1, node: two, since: AT },
          { timeline: 3, node: one, since: LATER },
        ],
        refused: [
          {
            ...{ timeline: 3, node: two, writer: one, file: '00000003000000000000000C' },
            error: { code: 'SECOND_WRITER', message: 'two servers', hint: 'stop one', details: {} },
            ...{ firstAt: AT, lastAt: LATER, attempts: 2 },
          },
        ],
      },
      80,
      NOW,
    );
    expect(text.split('\n').map((line) => line.trimEnd())).toEqual([
      'TIMELINE  WRITER       SINCE',
      '       1  db2:/a copy  2026-11-22 11:50:00 UTC',
      '       3  db1:/data    2026-11-22 11:59:00 UTC',
      '  SECOND WRITER on timeline 3: db2:/a copy',
      '    its writer is db1:/data; refused: 00000003000000000000000C',
      '    2 attempts, first 10 min ago, last 1 min ago (SECOND_WRITER)',
      '    HINT: stop one',
    ]);
  });

  it('says so where nothing is known', () => {
    expect(renderWriters({ cluster: 'main', writers: [], refused: [] }, 80, NOW)).toContain(
      'no timeline of cluster main',
    );
  });
});

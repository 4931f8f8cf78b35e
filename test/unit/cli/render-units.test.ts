import { describe, expect, it } from 'vitest';
import { progressText } from '../../../src/cli/render/progress-bar.ts';
import { renderTable } from '../../../src/cli/render/table.ts';
import { formatAge, formatBytes, formatDuration } from '../../../src/cli/render/units.ts';

const NOW = new Date('2026-11-22T12:00:00Z');

describe('numbers and moments', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [1024 * 1024 - 1, '1 MiB'],
    [16 * 1024 ** 2, '16 MiB'],
    [123.4 * 1024 ** 3, '123 GiB'],
  ])('writes %i bytes as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [0, '0 s'],
    [59.6, '1 min'],
    [3600, '1 h'],
    [7505, '2 h 5 min'],
    [86_400 * 3 + 14_400, '3 d 4 h'],
  ])('writes %d seconds as %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  it('does not write a negative age when the clocks differ', () => {
    expect(formatAge('2026-11-22T12:00:05.000000Z', NOW)).toBe('just now');
  });

  it('does not invent an estimate for a job of unknown size', () => {
    const progress = { phase: 'start', doneBytes: 10, totalBytes: 0, files: 0, bytesPerSecond: 5 };
    expect(progressText(progress)).toBe('start: 10 B, 5 B/s');
  });
});

describe('tables', () => {
  it('puts text to the left and numbers to the right, with no space at the end of a line', () => {
    const shape = [
      { heading: 'NAME', cell: ({ name }: { name: string }) => name },
      { heading: 'SIZE', right: true as const, cell: ({ size }: { size: string }) => size },
      { heading: 'NOTE', cell: ({ note }: { note: string }) => note },
    ];
    const rows = [
      { name: 'a', size: '1,000', note: 'n' },
      { name: 'longer', size: '7', note: '' },
    ];
    expect(renderTable(shape, rows, 80).split('\n')).toEqual([
      'NAME     SIZE  NOTE',
      'a       1,000  n',
      'longer      7',
    ]);
  });

  it('puts what does not fit beside each other below its row, cut between words only', () => {
    const shape = [
      { heading: 'FIRST', cell: () => '000000010000000000000008' },
      { heading: 'SIZE', right: true as const, cell: () => '7' },
      { heading: 'COMMIT', cell: () => '2026-11-22 02:20:30 UTC' },
      { heading: 'EMPTY', cell: (row: string) => row },
      { heading: 'NOTE', cell: () => 'one two' },
    ];
    expect(renderTable(shape, ['', 'filled'], 40).split('\n')).toEqual([
      'FIRST                     SIZE',
      '000000010000000000000008     7',
      '    commit: 2026-11-22 02:20:30 UTC,',
      '    note: one two',
      '000000010000000000000008     7',
      '    commit: 2026-11-22 02:20:30 UTC,',
      '    empty: filled, note: one two',
    ]);
  });

  it('leaves out a column that nobody filled', () => {
    const shape = [
      { heading: 'A', cell: (row: string) => row },
      { heading: 'EMPTY', cell: () => '' },
    ];
    expect(renderTable(shape, ['x'], 80)).not.toContain('EMPTY');
  });
});

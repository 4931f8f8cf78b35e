import Table from 'cli-table3';

/** Headings and columns in this order; `right` aligns numbers. */
export interface Column<Row> {
  readonly heading: string;
  readonly right?: true;
  readonly cell: (row: Row) => string;
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};
const GAP = 2;
const NARROWEST = 8;

/** A table without borders that fits into `columns`: what is too long is wrapped inside its column. */
export function renderTable<Row>(shape: readonly Column<Row>[], rows: readonly Row[], columns: number): string {
  const cells = rows.map((row) => shape.map(({ cell }) => cell(row)));
  // A column that nobody filled says nothing.
  const used = shape.map((_, index) => cells.some((line) => line[index] !== ''));
  const keep = <T>(list: readonly T[]): T[] => list.filter((_, index) => used[index]);
  const lines = [keep(shape.map(({ heading }) => heading)), ...cells.map(keep)];
  const widths = fit(
    keep(shape).map((_, index) => Math.max(...lines.map((line) => (line[index] ?? '').length))),
    columns,
  );
  const table = new Table({
    chars: NO_BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    colWidths: widths,
    colAligns: keep(shape).map(({ right }) => (right === true ? 'right' : 'left')),
    wordWrap: true,
    wrapOnWordBoundary: false,
  });
  table.push(...lines);
  return table.toString().replace(/[ \t]+$/gm, '');
}

/** Takes from the widest column until all fit. */
function fit(wanted: readonly number[], columns: number): number[] {
  const widths = [...wanted];
  const room = columns - GAP * (widths.length - 1);
  let over = widths.reduce((sum, width) => sum + width, 0) - room;
  while (over > 0) {
    const widest = Math.max(...widths);
    if (widest <= NARROWEST) break;
    widths[widths.indexOf(widest)] = widest - 1;
    over -= 1;
  }
  return widths;
}

/** Headings and columns in this order; `right` aligns numbers. */
export interface Column<Row> {
  readonly heading: string;
  readonly right?: true;
  readonly cell: (row: Row) => string;
}

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
  const toRight = keep(shape).map(({ right }) => right === true);
  return lines.flatMap((line) => wrapLine(line, widths, toRight)).join('\n');
}

/** One row as the lines that it takes. */
function wrapLine(row: readonly string[], widths: readonly number[], toRight: readonly boolean[]): string[] {
  const wrapped = row.map((text, index) => chunks(text, widths[index] ?? NARROWEST));
  const height = Math.max(...wrapped.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) =>
    widths
      .map((width, index) => {
        const text = wrapped[index]?.[line] ?? '';
        return toRight[index] === true ? text.padStart(width) : text.padEnd(width);
      })
      .join(' '.repeat(GAP))
      .trimEnd(),
  );
}

function chunks(text: string, width: number): string[] {
  const count = Math.max(1, Math.ceil(text.length / width));
  return Array.from({ length: count }, (_, index) => text.slice(index * width, (index + 1) * width));
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

/** Headings and columns in this order, the most telling first; `right` aligns numbers. */
export interface Column<Row> {
  readonly heading: string;
  readonly right?: true;
  readonly cell: (row: Row) => string;
}

const GAP = 2;
const INDENT = ' '.repeat(4);

/**
 * A table without borders. Names of segments and backups are there to be copied, so nothing is cut inside a column: the
 * columns that do not fit into `columns` follow their row as `heading: value`.
 */
export function renderTable<Row>(shape: readonly Column<Row>[], rows: readonly Row[], columns: number): string {
  // A column that nobody filled says nothing.
  const used = shape.filter(({ cell }) => rows.some((row) => cell(row) !== ''));
  const widths = used.map(({ heading, cell }) => Math.max(heading.length, ...rows.map((row) => cell(row).length)));
  const fitting = countFitting(widths, columns);
  const inLine = used.slice(0, fitting);
  const below = used.slice(fitting);
  const line = (text: (column: Column<Row>) => string): string =>
    inLine
      .map((column, index) => align(text(column), widths[index] ?? 0, column.right === true))
      .join(' '.repeat(GAP))
      .trimEnd();
  return [
    line(({ heading }) => heading),
    ...rows.flatMap((row) => [line(({ cell }) => cell(row)), ...linesBelow(below, row, columns)]),
  ].join('\n');
}

/** How many columns stand beside each other; at least one. */
function countFitting(widths: readonly number[], columns: number): number {
  let total = -GAP;
  const first = widths.findIndex((width) => (total += GAP + width) > columns);
  return first < 0 ? widths.length : Math.max(1, first);
}

function align(text: string, width: number, toRight: boolean): string {
  return toRight ? text.padStart(width) : text.padEnd(width);
}

function linesBelow<Row>(shape: readonly Column<Row>[], row: Row, columns: number): string[] {
  const pairs = shape
    .filter(({ cell }) => cell(row) !== '')
    .map(({ heading, cell }) => `${heading.toLowerCase()}: ${cell(row)}`);
  return pairs.length === 0 ? [] : wrapWords(pairs.join(', '), columns - INDENT.length).map((text) => INDENT + text);
}

/** Cuts between words only. */
function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

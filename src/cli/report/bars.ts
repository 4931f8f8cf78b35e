import { html, type Html } from './html.ts';

const WIDTH = 1000;
const LEFT = 190;
const RIGHT = 240;
const ROW = 22;

export interface Bar {
  readonly label: string;
  /** The one behind, in the units of all. */
  readonly whole: number;
  /** The one in front; undefined: none. */
  readonly part?: number;
  readonly words: string;
}

/** Horizontal bars, the longest as wide as there is room. */
export function bars(rows: readonly Bar[], title: string, note: string): Html {
  if (rows.length === 0) return html`<p class="note">${note}</p>`;
  const most = Math.max(...rows.map(({ whole, part = 0 }) => Math.max(whole, part)), 1);
  const width = (value: number): number => Math.max(1, Math.round((value / most) * (WIDTH - LEFT - RIGHT)));
  return html`<svg viewBox="0 0 ${WIDTH} ${rows.length * ROW + 4}" role="img" aria-label="${title}">
    ${rows.map(({ label, whole, part, words }, index) => {
      const y = index * ROW + 3;
      const front =
        part === undefined
          ? null
          : html`<rect class="stored" x="${LEFT}" y="${y + 4}" width="${width(part)}" height="8" rx="2" />`;
      return html`<text x="0" y="${y + 12}">${label}</text>
        <rect
          class="${part === undefined ? 'stored' : 'plain'}"
          x="${LEFT}"
          y="${y}"
          width="${width(whole)}"
          height="16"
          rx="2"
        />${front} <text x="${LEFT + width(whole) + 8}" y="${y + 12}">${words}</text>`;
    })}
  </svg>`;
}

/** Which columns fit a list, and how wide each is. Pure; lengths are CSS px, and whole. */

export interface ListColumn {
  readonly name: string;
  readonly title: string;
  readonly width: number; // 0: what is left
}

const PADDING_PX = 8; // of a row
const FILL_PX = 240; // the column without a width keeps so much
const LEAST_FILL_PX = 120; // where even what is left is less
const LEAST = 0.95;
const FIRST_TO_GO = ["size", "elapsed", "src", "dst", "method"];

/** Beside an open entry the list is narrow: what the entry says anyway makes room for the summary. */
export function fitting(columns: readonly ListColumn[], viewPx: number): readonly ListColumn[] {
  let kept = columns;
  const need = (): number => kept.reduce((sum, column) => sum + (column.width || FILL_PX), PADDING_PX);
  for (const name of FIRST_TO_GO) if (viewPx > 0 && need() * LEAST > viewPx) kept = kept.filter((column) => column.name !== name);
  return kept;
}

/** A column without a width takes what the others leave. Where there is too little, all but the time shrink a bit: one that is cut tells nothing. */
export function columnWidths(columns: readonly ListColumn[], viewPx: number): readonly number[] {
  const fixed = columns.reduce((sum, column) => sum + column.width, 0);
  const fills = columns.filter((column) => !column.width).length;
  const free = viewPx - PADDING_PX - (fills ? FILL_PX : 0);
  const factor = fixed > free && free > 0 ? Math.max(LEAST, free / fixed) : 1;
  const widths = columns.map(({ name, width }) => Math.round(width * (name === "timestamp" ? 1 : factor)));
  const left = viewPx - PADDING_PX - widths.reduce((sum, width) => sum + width, 0);
  return widths.map((width) => width || Math.max(LEAST_FILL_PX, Math.floor(left / fills)));
}

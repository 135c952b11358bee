/** Which columns fit a list, how wide each is, and which texts surely fit them. Pure; lengths are CSS px. */

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

const NO_ROOM_PX: Readonly<Record<string, number>> = { timestamp: 18, protocol: 24, status: 25 }; // paddings and marks
const USUAL_NO_ROOM_PX = 12;
const OTHER_FONT = 1.7; // the protocol's letters are in another one: so many times as wide at most
const UNEVEN = /[^ -~\xa0-\xff]/; // what a font may not have, or have in another width

/** How many characters surely fit a cell; `characterPx` is the widest of the list's font. */
export function roomFor(column: string, width: number, characterPx: number): number {
  const each = characterPx * (column === "protocol" ? OTHER_FONT : 1);
  return Math.floor((width - (NO_ROOM_PX[column] ?? USUAL_NO_ROOM_PX)) / each);
}

/** Say whether a text may be longer than its cell; where that is not sure, it may. */
export function mayBeCut(text: string, room: number): boolean {
  return text.length > room || UNEVEN.test(text);
}

/** Numbers of things: "1 entry", "2 entries". */

import { plural } from "../core/format";

const of = (one: string, many = `${one}s`) => (value: number): string => plural(value, one, many);

export const units = {
  connection: of("connection"),
  entry: of("entry", "entries"),
  filter: of("filter"),
  key: of("key"),
  packet: of("packet"),
  problem: of("problem"),
  segment: of("segment"),
} as const;

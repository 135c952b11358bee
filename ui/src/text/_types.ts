/** What texts are made of. */

import type { ComponentChildren } from "preact";

/** Something that is put into a text as it is written: a number, a name. */
export type Value = string | number;
/** Something that may be an element: `<b>name</b>`. A translation may change the order. */
export type Piece = ComponentChildren;

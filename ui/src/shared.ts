/** The one query of this page, and the list that shows it. */

import { Traffic } from "./core/traffic";
import type { TrafficList } from "./list/traffic-list";

export const traffic = new Traffic();
export const shown: { list: TrafficList | null; focusFilter: (() => void) | null; wantsFilter: boolean } = { list: null, focusFilter: null, wantsFilter: false };

/** Holds the timeline's place; the chart library is fetched after the first rows were asked for. */

import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { texts } from "../text/histogram-lazy";

export function Histogram() {
  const [Shown, setShown] = useState<FunctionComponent | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => void import("./histogram").then((m) => setShown(() => m.HistogramChart), () => undefined), 60);
    return () => clearTimeout(timer);
  }, []);
  return <section class="timeline" aria-label={texts.timeline}>{Shown && <Shown />}</section>;
}

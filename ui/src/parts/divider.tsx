/** Between what is listed and the entry that is open: drag it, or arrow keys, to share the width. */

import { useEffect } from "preact/hooks";
import { detailShare } from "../core/state";
import { texts } from "../text/traffic";

export function Divider() {
  const set = (share: number): void => {
    detailShare.value = Math.round(Math.min(75, Math.max(20, share)));
  };
  useEffect(() => document.documentElement.style.setProperty("--detail", `${detailShare.value}%`), [detailShare.value]);
  return (
    <div class="divider" role="separator" aria-orientation="vertical" aria-label={texts.widthOfTheEntry} aria-valuenow={detailShare.value} aria-valuemin={20} aria-valuemax={75} tabIndex={0}
      onKeyDown={(event) => {
        const by = { ArrowLeft: 2, ArrowRight: -2 }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        set(detailShare.value + by);
      }}
      onPointerDown={(event) => {
        event.preventDefault();
        const grip = event.currentTarget;
        grip.setPointerCapture(event.pointerId);
        grip.onpointermove = (moved) => set(100 - (moved.clientX / innerWidth) * 100);
        grip.onpointerup = () => { grip.onpointermove = grip.onpointerup = null; };
      }} />
  );
}

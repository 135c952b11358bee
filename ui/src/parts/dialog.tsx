/** A dialog: the browser's own traps focus, closes on Esc, gives the focus back. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { dialog } from "../core/state";
import { Icon } from "./icon";
import { texts } from "../text/dialog";

export function Dialog({ title, wide = false, onClose, children }: { title: string; wide?: boolean; onClose?: () => void; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  const isGone = useRef(false);
  useEffect(() => {
    const before = document.activeElement;
    box.current?.showModal();
    return () => {
      isGone.current = true;
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  const close = () => {
    if (isGone.current) return; // the browser says so a moment later: another dialog may be open by then
    if (onClose) onClose();
    else dialog.value = "";
  };
  return (
    <dialog ref={box} class={wide ? "wide" : ""} aria-label={title} onClose={close} onClick={(event) => { if (event.target === box.current) close(); }}>
      <div class="dialog-body">
        <div class="dialog-head">
          <h2>{title}</h2>
          <button type="button" class="icon" aria-label={texts.close} onClick={close}><Icon name="close" /></button>
        </div>
        {children}
      </div>
    </dialog>
  );
}

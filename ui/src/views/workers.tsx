/** The workers, as a view of their own. */

import { WorkerTable } from "../parts/workers";
import { workers as text } from "../text/workers";

export function WorkersView() {
  return (
    <div class="page"><div class="page-in">
      <section class="card" aria-labelledby="workers-view-title">
        <h2 id="workers-view-title">{text.title}</h2>
        <p class="dim">{text.about}</p>
        <WorkerTable />
      </section>
    </div></div>
  );
}

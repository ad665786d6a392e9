// Draws the one figure of a `Picture` with Plotly.react. The figure is a string of JSON in a plain model of state: a view
// that comes late draws what stands there, and of several changes at once only the newest is drawn.
const page = (globalThis.distlibFigures ??= { turn: Promise.resolve() });
page.plotly ??= new Promise((resolve) => { page.resolve = resolve; });
const NARROW = 480;
const ASK_AGAIN_MS = 5000;

// plotly.js comes once a page, from the kernel: the first picture of a kernel sends it, and a page that missed that asks.
function load(source) {
  if (page.loading) return;
  page.loading = true;
  const script = document.createElement("script");
  script.src = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  script.onload = () => { URL.revokeObjectURL(script.src); page.resolve(globalThis.Plotly); };
  document.head.appendChild(script);
}
const hear = (content, buffers) => { if (content.plotly) load(buffers[0]); };
const pause = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

async function ask(state) {
  for (await pause(); !page.loading; await pause(ASK_AGAIN_MS)) state.send({ ask: "plotly" });
}

// One picture a task: what else the page has to do, above all starting other widgets, comes between.
function turn() {
  page.turn = page.turn.then(() => pause());
  return page.turn;
}

const told = (event) => event.points.map(({ curveNumber, pointIndex, customdata }) =>
  ({ curve: curveNumber, point: pointIndex ?? null, customdata: customdata ?? null }));

async function render({ model, el }) {
  const state = await model.widget_manager.get_model(model.get("state").replace("IPY_MODEL_", ""));
  const place = el.appendChild(document.createElement("div"));
  let waiting = false, gone = false, width = 0, plotly = null, moving = false;

  async function paint() {
    if (waiting) return;
    waiting = true;
    plotly = await page.plotly;
    await turn();
    waiting = false;
    if (gone) return;
    const figure = JSON.parse(state.get("figure"));
    if (!figure.layout) return;
    width = el.clientWidth;
    if (width) figure.layout.width = Math.min(figure.layout.width, Math.max(NARROW, width));
    if (moving) await plotly.animate(place, [null], { mode: "immediate" }).catch(() => {}); // it ends the film
    moving = figure.frames.length > 0;
    const first = !place.on;
    await plotly.react(place, figure);
    place.style.height = "";
    if (first) for (const name of ["click", "selected"])
      place.on(`plotly_${name}`, (event) => { if (event) state.send({ event: name, points: told(event) }); });
  }

  const { layout } = JSON.parse(state.get("figure"));
  if (layout) place.style.height = `${layout.height}px`; // room, so that nothing jumps
  const resized = new ResizeObserver(() => { if (el.clientWidth !== width) paint(); });
  state.on("change:figure", paint);
  state.on("msg:custom", hear);
  resized.observe(el);
  ask(state);
  paint();
  return () => {
    gone = true;
    state.off("change:figure", paint);
    state.off("msg:custom", hear);
    resized.disconnect();
    plotly?.purge(place);
  };
}

export default { initialize: ({ model }) => model.on("msg:custom", hear), render };

// The left and right half of the Step lab: what may happen next, and what the cluster is like. It draws the one trait
// `content` and sends back what was pressed, as {act, id}; it decides nothing.
const clean = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const button = (act, id, text, title, kind = "", off = false) =>
  `<button type="button" class="step-b ${kind}" data-act="${act}" data-id="${clean(id)}" title="${clean(title)}"` +
  `${off ? " disabled" : ""}>${text}</button>`;

function message(one, ended) {
  const why = one.held ? `waits: ${one.held}` : "deliver it";
  const words = `<b>${clean(one.kind)}</b> <span class="step-soft">${clean(one.rest)}</span>`;
  const link = `<span class="step-link">${clean(one.link)}</span>`;
  const note = one.held ? `<span class="step-held">${clean(one.held)}</span>` : "";
  return `<li class="${one.fresh ? "step-fresh" : ""}">` +
    button("deliver", one.id, `${link}${words}${note}`, why, "step-main", ended || !!one.held) +
    button("drop", one.id, "drop", "the network loses it", "", ended) +
    button("duplicate", one.id, "copy", "the network makes a second copy", "", ended) + "</li>";
}

const chips = (title, items, act, ended) => !items.length ? "" : `<div class="step-links"><span class="step-soft">${title}</span> ` +
  items.map((one) => button(act, one.id, `<b>${clean(one.link)}</b> ${clean(one.kind)} ${clean(one.rest)}`, one.title, one.first ? "step-first" : "", ended))
    .join("") + "</div>";

function list(title, items, draw, empty) {
  const body = items.length ? `<ul>${items.map(draw).join("")}</ul>` : `<p class="step-soft">${empty}</p>`;
  return `<h4>${title}</h4>${body}`;
}

function node(one, ended) {
  const role = `<span class="step-role" style="background:${one.fill};color:${one.ink}">${clean(one.role)}</span>`;
  const fields = one.fields.map(([name, value, changed]) =>
    `<span class="${changed ? "step-changed" : ""}"><span class="step-soft">${clean(name)}</span> ${clean(value)}</span>`);
  const act = one.up ? button("crash", one.name, "crash", "it loses all that is not durable", "", ended)
    : button("restart", one.name, "restart", "it comes back with what is durable", "step-go", ended);
  return `<tr class="${one.moved ? "step-moved" : ""}"><th>${clean(one.name)}<br>${act}</th>` +
    `<td>${role}<div class="step-fields">${fields.join("")}</div></td></tr>`;
}

function verdict(one) {
  const sign = one.holds ? "✓" : "✗";
  const said = one.witness ? `<div class="step-witness">${clean(one.witness)}</div>` : "";
  return `<li class="${one.holds ? "step-true" : "step-false"}"><span>${sign}</span> ${clean(one.name)}${said}</li>`;
}

function draw(root, now) {
  const lists = root.querySelector(".step-next");
  const at = lists ? lists.scrollTop : 0;
  const active = document.activeElement;
  const held = root.contains(active) && active.dataset ? [active.dataset.act, active.dataset.id] : null;
  const more = now.more ? `<p class="step-soft">… and ${now.more} more; deliver or drop some of these first</p>` : "";
  const ended = now.ended ? `<p class="step-ended">${clean(now.ended)}</p>` : "";
  const links = now.links.map((one) => button("link", one.id, `${one.partitioned ? "✂ " : ""}${clean(one.text)}`,
    one.partitioned ? "heal this link" : "partition this link, both ways", one.partitioned ? "step-partitioned" : "", !!now.ended)).join("");
  root.innerHTML = `<div class="step-head"><b>${clean(now.where)}</b> <span class="step-soft">${clean(now.last)}</span></div>` +
    `<div class="step-next">${ended}` + chips("timers", now.timers, "fire", !!now.ended) +
    chips("clients", now.requests, "request", !!now.ended) +
    list(`In flight <span class="step-soft">${now.in_flight}</span>`, now.messages, (one) => message(one, !!now.ended),
      "no message is in flight") + more +
    `</div><div class="step-state"><table>${now.nodes.map((one) => node(one, !!now.ended)).join("")}</table>` +
    `<div class="step-links"><span class="step-soft">links</span> ${links}</div>` +
    `<ul class="step-verdicts">${now.verdicts.map(verdict).join("")}</ul></div>`;
  root.dataset.state = now.state;
  root.querySelector(".step-next").scrollTop = at;
  const state = root.querySelector(".step-state");
  root.tallest = Math.max(root.tallest ?? 0, state.offsetHeight); // it grows and never shrinks: the picture below stays
  state.style.minHeight = `${root.tallest}px`;
  if (held) {
    const same = [...root.querySelectorAll(`[data-act="${held[0]}"]`)];
    (same.find((one) => one.dataset.id === held[1]) ?? same[0])?.focus({ preventScroll: true });
  }
}

export default {
  render({ model, el }) {
    const root = document.createElement("div");
    root.className = "step-panel";
    el.appendChild(root);
    const show = () => draw(root, model.get("content"));
    root.addEventListener("click", (event) => {
      const pressed = event.target.closest("button[data-act]");
      if (pressed && !pressed.disabled) model.send({ act: pressed.dataset.act, id: pressed.dataset.id });
    });
    model.on("change:content", show);
    show();
    return () => model.off("change:content", show);
  },
};

"use strict";
// Shows the trace. Every number stands there; this computes none but the difference of two that it shows.
const trace = JSON.parse(document.getElementById("trace").textContent);
const at = (id) => document.getElementById(id);
const state = { scene: 0, step: 0, entry: 0, fault: -1, language: "en", full: false, predict: false, shown: new Set() };
let timer = null;

const say = (word) => trace.words[word][state.language];
const scene = () => trace.scenes[state.scene];
const fault = () => scene().faults[state.fault];
const count = () => scene().steps.length + (scene().learning ? 1 : 0);
const stepNow = () => scene().steps[state.step - 1];
const kindOf = (step) => (step.phase === "backward" ? "gradient" : "value");

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "text", "path", "polyline", "line", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function show(number) {
  if (number === undefined || Number.isNaN(number)) return "–";
  const text = state.full ? String(number) : String(Number(number.toPrecision(4)));
  return text.replace(/-/g, "−");
}

// ---- what is known

function numbers(name, kind, side) {
  const broken = side === "numpy" && fault() && fault()[kind + "s"][name];
  if (broken) return broken;
  const found = scene().tensors[name][kind];
  return found && found[side];
}

function known(name, kind) {
  if (kind === "value" && scene().given.includes(name)) return true;
  const step = scene().steps.findIndex((each) => each.tensor === name && kindOf(each) === kind);
  if (kind === "gradient" && name === "L") return state.step > scene().steps.findIndex((each) => each.tensor === "L");
  return step >= 0 && step < state.step && !(hidden() && step === state.step - 1);
}

const hidden = () => state.predict && state.step > 0 && stepNow() && !state.shown.has(`${state.scene}.${state.step}`);

function wrongEntries(step) {
  const kind = kindOf(step), found = scene().tensors[step.tensor][kind];
  const ours = numbers(step.tensor, kind, "numpy");
  return ours.flatMap((value, k) => (Math.abs(value - found.torch[k]) <= found.allowed ? [] : [k]));
}

// ---- the graph

function places() {
  const level = {}, rows = {}, spot = {};
  const put = (name, column) => {
    rows[column] = (rows[column] ?? -1) + 1;
    spot[name] = [column, rows[column]];
  };
  const used = new Set(scene().graph.flatMap((node) => node.parameters));
  const first = scene().given.filter((name) => !used.has(name) && scene().graph[0].inputs.includes(name));
  first.forEach((name) => { level[name] = 0; put(name, 0); });
  for (const node of scene().graph) {
    level[node.out] = 1 + Math.max(...node.inputs.map((name) => level[name] ?? 0));
    put(node.out, level[node.out]);
  }
  for (const node of scene().graph)
    for (const name of [...node.parameters, ...node.inputs]) if (!(name in spot)) put(name, level[node.out] - 1);
  return spot;
}

function drawGraph() {
  const spot = places(), W = 120, H = 62, dx = 132, dy = 86;
  const rows = 1 + Math.max(...Object.values(spot).map(([level]) => level));
  const columns = 1 + Math.max(...Object.values(spot).map(([, beside]) => beside));
  const box = make("svg", { width: columns * dx, height: rows * dy, viewBox: `-4 -4 ${columns * dx} ${rows * dy}` });
  for (const node of scene().graph)
    for (const name of [...node.inputs, ...node.parameters]) {
      const [r0, c0] = spot[name], [r1, c1] = spot[node.out];
      const x0 = c0 * dx + W / 2, y0 = r0 * dy + H, x1 = c1 * dx + W / 2, y1 = r1 * dy;
      box.append(make("path", { class: "edge", d: `M${x0} ${y0} C${x0} ${y0 + 20} ${x1} ${y1 - 20} ${x1} ${y1}` }));
    }
  for (const [name, [r, c]] of Object.entries(spot)) {
    const step = stepNow(), now = step && step.tensor.replace("_new", "") === name;
    const group = make("g", { transform: `translate(${c * dx} ${r * dy})`, class: now ? `now ${step.phase}` : "" });
    const shape = scene().tensors[name].shape;
    const node = scene().graph.find((each) => each.out === name);
    group.append(make("rect", { width: W, height: H, rx: 6 }));
    group.append(make("text", { x: 8, y: 17 }, `${name}  ${shape.length ? shape.join("×") : ""}`));
    if (node) group.append(make("text", { x: W - 6, y: 17, "text-anchor": "end", class: "small" }, node.name.slice(0, 11)));
    for (const [kind, y] of [["value", 36], ["gradient", 53]]) {
      const all = known(name, kind) && (numbers(name, kind, "numpy") ?? (kind === "gradient" && name === "L" ? [1] : null));
      const short = all ? String(Number(all[0].toPrecision(3))).replace("-", "−") + (all.length > 1 ? " …" : "") : "";
      group.append(make("text", { x: 8, y, class: kind }, short));
    }
    const target = scene().steps.findIndex((each) => each.tensor === name && each.phase !== "update") + 1;
    if (target) {
      group.setAttribute("role", "button");
      group.setAttribute("tabindex", "0");
      group.setAttribute("aria-label", `${name}, ${say("step")} ${target}`);
      const go = () => move(target);
      group.addEventListener("click", go);
      group.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
    }
    box.append(group);
  }
  at("graph").replaceChildren(box);
}

// ---- formula and tensors

const part = /\[([vg]) (\w+) (\d+)\]/g;

function inNumbers(text) {
  const line = make("p", { class: "numbers" });
  let done = 0;
  for (const found of text.matchAll(part)) {
    const [whole, letter, name, index] = found;
    const kind = letter === "v" ? "value" : "gradient";
    const values = kind === "gradient" && name === "L" ? [1] : numbers(name, kind, "numpy");
    line.append(text.slice(done, found.index), make("b", {}, show(values[Number(index)])));
    done = found.index + whole.length;
  }
  line.append(text.slice(done));
  return line;
}

function drawFormula() {
  const step = stepNow();
  at("formula").replaceChildren();
  if (!step) return;
  for (const [word, math] of [["symbols", step.symbols], ["shapes", step.shapes]]) {
    const holder = make("div", { class: "math", tabindex: "0", role: "group", "aria-label": say(word) });
    holder.innerHTML = math;
    at("formula").append(make("h3", {}, say(word)), holder);
  }
  at("formula").append(make("h3", {}, `${say("numbers")}: ${titleOf(step.tensor, kindOf(step))}${place(step.tensor, state.entry)}`));
  const line = inNumbers(step.entries[state.entry]);
  line.append(` = ${hidden() ? "?" : show(numbers(step.tensor, kindOf(step), "numpy")[state.entry])}`);
  at("formula").append(line);
}

const titleOf = (name, kind) => (kind === "gradient" ? `∂L/∂${name}` : name.replace("_new", ", new"));

function place(name, k) {
  const index = [];
  for (const size of [...scene().tensors[name].shape].reverse()) {
    index.unshift(k % size);
    k = Math.floor(k / size);
  }
  return index.length ? `[${index.join(", ")}]` : "";
}

function table(name, kind, lit, chosen) {
  const shape = scene().tensors[name].shape;
  const columns = shape.length ? shape[shape.length - 1] : 1;
  const values = known(name, kind) && (numbers(name, kind, "numpy") ?? [1]);
  const reference = scene().tensors[name][kind];
  const body = make("tbody");
  const size = shape.reduce((a, b) => a * b, 1);
  for (let start = 0; start < size; start += columns) {
    const row = make("tr");
    for (let k = start; k < start + columns; k++) {
      const cell = make("td", {}, values ? show(values[k]) : "?");
      if (lit.has(k)) cell.classList.add("lit");
      if (values && reference && Math.abs(values[k] - reference.torch[k]) > reference.allowed) cell.classList.add("wrong");
      if (chosen !== null) {
        cell.tabIndex = chosen === k ? 0 : -1;
        cell.dataset.entry = k;
        cell.setAttribute("aria-label", `${name}${place(name, k)} ${values ? show(values[k]) : "?"}`);
        if (chosen === k) cell.classList.add("chosen");
        cell.addEventListener("click", () => choose(k, columns));
        cell.addEventListener("keydown", (event) => {
          const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
          if (by === undefined) return;
          event.preventDefault();
          event.stopPropagation();
          if (k + by >= 0 && k + by < size) choose(k + by, columns);
        });
      }
      row.append(cell);
    }
    body.append(row);
  }
  const title = titleOf(name, kind);
  return make("table", chosen !== null ? { class: "result" } : {}, make("caption", { class: kind === "gradient" ? "backward" : "forward" }, title), body);
}

function choose(entry) {
  state.entry = entry;
  draw();
  document.querySelector("#tensors td.chosen")?.focus();
}

function drawTensors() {
  const step = stepNow();
  const pieces = make("div", { class: "pieces" });
  if (!step) {
    for (const name of scene().given) pieces.append(table(name, "value", new Set(), null));
    if (state.step > 0) pieces.replaceChildren(curve());
  } else {
    pieces.append(table(step.tensor, kindOf(step), new Set(), state.entry));
    const lit = {};
    for (const [, letter, name, index] of step.entries[state.entry].matchAll(part))
      (lit[`${letter} ${name}`] ??= new Set()).add(Number(index));
    for (const text of step.entries)
      for (const [, letter, name] of text.matchAll(part)) lit[`${letter} ${name}`] ??= new Set();
    for (const [key, entries] of Object.entries(lit)) {
      const [letter, name] = key.split(" ");
      pieces.append(table(name, letter === "v" ? "value" : "gradient", entries, null));
    }
  }
  at("tensors").replaceChildren(pieces);
  at("guess").hidden = !hidden();
}

function curve() {
  const { numpy, torch } = scene().learning, W = 420, H = 220;
  const most = Math.max(...numpy, ...torch);
  const line = (values) => values.map((v, k) => `${40 + (k / (values.length - 1)) * (W - 50)},${H - 25 - (v / most) * (H - 40)}`).join(" ");
  const end = numpy.length - 1;
  const box = make("svg", { width: W, height: H, role: "img", "aria-label": `${say("loss")}: ${show(numpy[end])}, ${show(torch[end])}` });
  box.append(
    make("line", { x1: 40, y1: H - 25, x2: W - 10, y2: H - 25, stroke: "currentColor" }),
    make("polyline", { points: line(numpy), fill: "none", stroke: "var(--forward)", "stroke-width": 4 }),
    make("polyline", { points: line(torch), fill: "none", stroke: "var(--backward)", "stroke-width": 1.5, "stroke-dasharray": "5 3" }),
    make("text", { x: 4, y: 18 }, show(most)), make("text", { x: 4, y: H - 25 }, "0"), make("text", { x: W - 40, y: H - 8 }, String(numpy.length)),
  );
  const worst = Math.max(...numpy.map((v, k) => Math.abs(v - torch[k])));
  return make("figure", {}, box, make("figcaption", {}, `NumPy ${show(numpy[end])} · PyTorch ${show(torch[end])} · max |NumPy − PyTorch| ${show(worst)}`));
}

// ---- side by side

function drawCompare() {
  const step = stepNow();
  at("verdict").textContent = "";
  at("compare").replaceChildren();
  at("code").replaceChildren();
  if (!step) return;
  const kind = kindOf(step), found = scene().tensors[step.tensor][kind], ours = numbers(step.tensor, kind, "numpy");
  const wrong = new Set(wrongEntries(step));
  const body = make("tbody");
  ours.forEach((value, k) => {
    const cells = [value, found.torch[k], found.numeric?.[k], value - found.torch[k]];
    const row = make("tr", wrong.has(k) && !hidden() ? { class: "wrong" } : {}, make("th", { scope: "row" }, `${place(step.tensor, k) || step.tensor}`));
    cells.forEach((each) => row.append(make("td", {}, hidden() ? "?" : show(each))));
    row.append(make("td", {}, hidden() ? "?" : wrong.has(k) ? "✗" : "✓"));
    body.append(row);
  });
  const heads = [say("entry"), "NumPy", "PyTorch", say("numeric"), say("difference"), "="];
  const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
  at("compare").append(make("table", {}, make("thead", {}, head), body));
  if (!hidden()) {
    at("verdict").className = wrong.size ? "bad" : "good";
    at("verdict").textContent = wrong.size ? say("differ").replace("{n}", wrong.size) : say("agree");
  }
  for (const side of ["numpy", "torch"])
    at("code").append(make("h3", {}, side === "numpy" ? "NumPy" : "PyTorch"), make("pre", { tabindex: "0" }, step[side]));
}

function drawFault() {
  const chosen = fault();
  at("broken").hidden = !chosen;
  if (!chosen) return;
  const first = scene().steps.findIndex((step) => wrongEntries(step).length) + 1;
  const jump = make("button", { type: "button" }, say("first").replace("{n}", first));
  jump.addEventListener("click", () => move(first));
  at("broken").replaceChildren(make("h2", {}, say("says")), jump, make("pre", { tabindex: "0" }, chosen.says));
}

// ---- the whole

function drawSheet() {
  at("sheet").replaceChildren(make("h2", {}, say("sheet")));
  for (const step of scene().steps) {
    const shape = scene().tensors[step.tensor].shape, columns = shape.length ? shape[shape.length - 1] : 1;
    const formula = make("div");
    formula.innerHTML = step.symbols;
    const body = make("tbody");
    for (let start = 0; start < step.entries.length; start += columns) {
      const row = make("tr");
      for (let k = 0; k < columns; k++) row.append(make("td"));
      body.append(row);
    }
    at("sheet").append(make("article", {}, formula, make("table", {}, body)));
  }
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map((text, k) => make("option", { value: k }, text)));
  select.value = chosen;
}

function draw() {
  document.documentElement.lang = state.language === "zh" ? "zh-Hans" : "en";
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const name of ["previous", "next"]) at(name).setAttribute("aria-label", say(name));
  at("play").textContent = say(timer ? "pause" : "play");
  at("play").setAttribute("aria-pressed", String(Boolean(timer)));
  fill(at("scene"), trace.scenes.map((each) => trace.titles[each.name][state.language][0]), state.scene);
  at("fault").replaceChildren(make("option", { value: -1 }, say("nothing")), ...scene().faults.map((each, k) => make("option", { value: k }, each.name)));
  at("fault").value = state.fault;
  at("about").textContent = trace.titles[scene().name][state.language][1];
  at("scrubber").max = count();
  at("scrubber").value = state.step;
  const phase = state.step === 0 ? "start" : stepNow() ? stepNow().phase : "repeat";
  at("where").textContent = `${say("step")} ${state.step} / ${count()}: ${say(phase)}${stepNow() ? ` ${stepNow().tensor.replace("_new", "")}` : ""}`;
  at("where").className = phase === "backward" ? "backward" : "forward";
  at("previous").disabled = state.step === 0;
  at("next").disabled = state.step === count();
  drawGraph();
  drawFormula();
  drawTensors();
  drawCompare();
  drawFault();
  drawSheet();
  history.replaceState(null, "", `#scene=${scene().name}&step=${state.step}`);
}

function move(step) {
  state.step = Math.max(0, Math.min(count(), step));
  state.entry = 0;
  at("answer").textContent = "";
  if (state.step === count()) stop();
  draw();
}

function stop() {
  clearInterval(timer);
  timer = null;
}

function play() {
  if (timer) stop();
  else timer = setInterval(() => move(state.step + 1), 1500);
  draw();
}

function follow() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const found = trace.scenes.findIndex((each) => each.name === asked.get("scene"));
  if (found >= 0 && found !== state.scene) {
    state.scene = found;
    state.fault = -1;
  }
  move(Number.parseInt(asked.get("step") ?? "0", 10) || 0);
}

at("previous").addEventListener("click", () => move(state.step - 1));
at("next").addEventListener("click", () => move(state.step + 1));
at("play").addEventListener("click", play);
at("scrubber").addEventListener("input", (event) => move(Number(event.target.value)));
at("scene").addEventListener("change", (event) => { state.scene = Number(event.target.value); state.fault = -1; move(0); });
at("fault").addEventListener("change", (event) => { state.fault = Number(event.target.value); draw(); });
at("language").addEventListener("change", (event) => { state.language = event.target.value; draw(); });
at("full").addEventListener("change", (event) => { state.full = event.target.checked; draw(); });
at("predict").addEventListener("change", (event) => { state.predict = event.target.checked; draw(); });
at("guess").addEventListener("submit", (event) => {
  event.preventDefault();
  const step = stepNow(), value = numbers(step.tensor, kindOf(step), "numpy")[state.entry];
  const guess = Number(at("number").value.replace(",", ".").replace("−", "-"));
  const near = at("number").value.trim() !== "" && Math.abs(guess - value) <= 0.005 * Math.max(Math.abs(value), 0.01);
  state.shown.add(`${state.scene}.${state.step}`);
  at("number").value = "";
  draw();
  at("answer").textContent = near ? say("right") : say("wrong").replace("{v}", show(value));
  at("answer").className = near ? "good" : "bad";
});
document.addEventListener("keydown", (event) => {
  if (event.target.closest("select, input, button, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = { ArrowLeft: state.step - 1, ArrowRight: state.step + 1, Home: 0, End: count() }[event.key];
  if (to !== undefined) move(to);
  else if (event.key === " ") play();
  else return;
  event.preventDefault();
});
addEventListener("hashchange", follow);
if ((navigator.language || "").startsWith("zh")) state.language = "zh";
at("language").value = state.language;
follow();

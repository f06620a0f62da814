"use strict";
// Shows the trace. Every number stands there; this computes none but the difference of two that it shows.
const trace = JSON.parse(document.getElementById("trace").textContent);
const at = (id) => document.getElementById(id);
const state = { scene: 0, step: 0, entry: 0, fault: -1, language: "en", full: false, predict: false, shown: new Set() };
const usual = (navigator.language || "").startsWith("zh") ? "zh" : "en";
let timer = null;

const say = (word) => trace.words[word][state.language];
const scene = () => trace.scenes[state.scene];
const fault = () => scene().faults[state.fault];
const faultName = (each) => trace.faults[state.language]?.[each.name] ?? each.name;
const repeats = () => (scene().learning ? scene().learning.torch.shown.length : 0);
const count = () => scene().steps.length + repeats();
const stepNow = () => scene().steps[state.step - 1];
const kindOf = (step) => (step.phase === "backward" ? "gradient" : "value");
const shapeOf = (name) => scene().tensors[name].shape;
const titleOf = (name, kind) => (kind === "gradient" ? "∂L/∂" : "") + scene().tensors[name].label;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "text", "path", "polyline", "line", "circle", "marker"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function show(number, digits = 4) {
  if (!Number.isFinite(number)) return "–";
  return String(state.full ? number : Number(number.toPrecision(digits))).replace(/-/g, "−");
}

function place(name, k) {
  const index = [];
  for (const size of [...shapeOf(name)].reverse()) {
    index.unshift(k % size);
    k = Math.floor(k / size);
  }
  return index.length ? `[${index.join(", ")}]` : "";
}

// ---- what is known

function numbers(name, kind) {
  if (kind === "gradient" && name === "L") return [1];
  return fault()?.[kind + "s"][name] ?? scene().tensors[name][kind]?.numpy;
}

const numeric = (name, kind) => (kind === "gradient" && fault()?.numeric[name]) || scene().tensors[name][kind].numeric;
const hidden = () => state.predict && stepNow() && !state.shown.has(`${state.scene}.${state.step}`);

function known(name, kind) {
  if (kind === "value" && scene().given.includes(name)) return true;
  const made = kind === "gradient" && name === "L" ? "value" : kind;
  const step = scene().steps.findIndex((each) => each.tensor === name && kindOf(each) === made) + 1;
  return step > 0 && step <= state.step && !(hidden() && step === state.step);
}

function wrongEntries(name, kind) {
  const found = scene().tensors[name][kind];
  if (!found) return [];
  return numbers(name, kind).flatMap((value, k) => (Math.abs(value - found.torch[k]) <= found.allowed ? [] : [k]));
}

const isApart = (value, slope, allowed) => slope !== undefined && Math.abs(value - slope) > allowed;

// What a step has to show first: what is wrong, or else where the numeric derivative is another one.
function telling(step) {
  const kind = kindOf(step), [wrong] = wrongEntries(step.tensor, kind), slopes = numeric(step.tensor, kind) ?? [];
  const { allowed_numeric: allowed } = scene().tensors[step.tensor][kind], ours = numbers(step.tensor, kind);
  return wrong ?? Math.max(0, slopes.findIndex((slope, k) => isApart(ours[k], slope, allowed)));
}

function titleOfStep(number) {
  const step = scene().steps[number - 1];
  if (number === 0) return say("start");
  if (!step) return `${say("repeat")}${say("colon")}${(number - scene().steps.length) * scene().learning.every} ${say("updates")}`;
  return `${say(step.phase)}${say("colon")}${titleOf(step.tensor, kindOf(step))}`;
}

// ---- the graph

function places() {
  const level = {}, taken = {}, spot = {}, graph = scene().graph;
  const put = (name, row, column = 0) => {
    while (taken[`${row} ${column}`]) column++;
    taken[`${row} ${column}`] = true;
    spot[name] = [row, column];
  };
  // What only helps on the way from an input to an output stands beside that way.
  const aside = (node) => graph.some((next) => next.inputs.includes(node.out) && next.inputs.some((name) => node.inputs.includes(name)));
  for (const node of graph) {
    level[node.out] = 1 + Math.max(-1, ...[...node.inputs, ...node.parameters].map((name) => level[name] ?? 0));
  }
  // What is needed only further down stands at the end of its row: the way down from there is free.
  const waits = (node) => !aside(node) && graph.every((next) => !next.inputs.includes(node.out) || level[next.out] > level[node.out] + 1);
  for (const node of graph) if (node.out === "L" || !waits(node)) put(node.out, level[node.out], aside(node) ? 1 : 0);
  for (const node of graph) {
    for (const name of node.inputs) if (!(name in spot) && !(name in level)) put(name, level[node.out] - 1);
    for (const name of node.parameters) put(name, level[node.out] - 1, 1);
  }
  for (const node of graph) if (!(node.out in spot)) put(node.out, level[node.out]);
  return spot;
}

function drawGraph() {
  const spot = places(), W = 108, H = 62, dx = 118, dy = 88;
  const rows = 1 + Math.max(...Object.values(spot).map(([row]) => row));
  const columns = 1 + Math.max(...Object.values(spot).map(([, column]) => column));
  const [width, height] = [columns * dx, rows * dy - 18];
  const box = make("svg", { width, height, viewBox: `-4 -4 ${width} ${height}` });
  const tip = { viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 4, markerHeight: 4, orient: "auto-start-reverse" };
  for (const way of ["forward", "backward"])
    box.append(make("marker", { id: `tip-${way}`, class: way, ...tip }, make("path", { d: "M0 0 L8 4 L0 8 z" })));
  const step = stepNow(), lit = [];
  for (const node of scene().graph)
    for (const name of [...node.inputs, ...node.parameters]) {
      const [r0, c0] = spot[name], [r1, c1] = spot[node.out];
      const x0 = c0 * dx + W / 2, y0 = r0 * dy + H, x1 = c1 * dx + W / 2, y1 = r1 * dy;
      const turn = y1 - (dy - H), down = turn > y0 ? `V${turn} ` : "";
      const edge = make("path", { class: "edge", d: `M${x0} ${y0} ${down}C${x0} ${turn + 20} ${x1} ${y1 - 20} ${x1} ${y1}` });
      // No gradient flows through what is computed only to be looked at.
      const flows = step?.phase === "backward" ? step.tensor === name && scene().tensors[node.out].gradient : step?.tensor === node.out;
      if (flows) {
        edge.classList.add(step.phase);
        edge.setAttribute(...(step.phase === "backward" ? ["marker-start", "url(#tip-backward)"] : ["marker-end", "url(#tip-forward)"]));
        lit.push(edge);
      } else box.append(edge);
    }
  box.append(...lit);
  for (const [name, [r, c]] of Object.entries(spot)) box.append(drawNode(name, `translate(${c * dx} ${r * dy})`, W, H));
  const focused = document.activeElement?.dataset?.node;
  at("graph").replaceChildren(box);
  if (focused) at("graph").querySelector(`[data-node="${focused}"]`)?.focus();
}

function drawNode(name, transform, W, H) {
  const step = stepNow(), steps = scene().steps;
  const group = make("g", { transform, class: step?.tensor.replace("_new", "") === name ? `now ${step.phase}` : "" });
  const node = scene().graph.find((each) => each.out === name);
  group.append(make("rect", { width: W, height: H, rx: 6 }));
  const wrong = ["value", "gradient"].filter((kind) => known(name, kind) && wrongEntries(name, kind).length);
  const { label } = scene().tensors[name];
  group.append(make("text", { x: 8, y: 17, class: wrong.length ? "name wrong" : "name" }, label + (wrong.length ? " ✗" : "")));
  if (node) group.append(make("text", { x: W - 7, y: 17, class: "small" }, node.name));
  for (const [kind, y] of [["value", 36], ["gradient", 53]]) {
    const all = known(name, kind) && numbers(name, kind);
    const text = all ? String(Number(all[0].toPrecision(2))).replace(/-/g, "−") : "";
    group.append(make("text", { x: 8, y, class: wrong.includes(kind) ? `${kind} wrong` : kind }, text));
  }
  if (shapeOf(name).length) group.append(make("text", { x: W - 7, y: 36, class: "small" }, shapeOf(name).join("×")));
  const back = step && step.phase !== "forward" && steps.findIndex((each) => each.tensor === name && each.phase === "backward") + 1;
  const target = back || steps.findIndex((each) => each.tensor === name) + 1;
  if (target) {
    const seen = [...group.querySelectorAll("text")].map((text) => text.textContent).filter(Boolean).join(" ");
    const label = `${seen}${say("colon")}${say("step")} ${target}, ${titleOfStep(target)}`;
    for (const [key, value] of Object.entries({ role: "button", tabindex: 0, "aria-label": label, "data-node": name })) group.setAttribute(key, value);
    group.addEventListener("click", () => move(target));
    group.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      move(target);
    });
  }
  return group;
}

// ---- formula and tensors

const part = /\[([vg]) (\w+) (\d+)\]/g;
const kindOfLetter = (letter) => (letter === "v" ? "value" : "gradient");

function filledIn(text) {
  const pieces = [];
  let done = 0;
  for (const found of text.matchAll(part)) {
    const [whole, letter, name, index] = found;
    pieces.push(text.slice(done, found.index), make("b", {}, show(numbers(name, kindOfLetter(letter))[Number(index)])));
    done = found.index + whole.length;
  }
  return [...pieces, text.slice(done)];
}

function drawFormula() {
  const step = stepNow();
  at("formula").replaceChildren();
  if (!step) return;
  const kind = kindOf(step), title = titleOf(step.tensor, kind) + place(step.tensor, state.entry);
  for (const [word, math] of [["symbols", step.symbols], ["shapes", step.shapes]]) {
    const holder = make("div", { class: "math", tabindex: "0", role: "group", "aria-label": say(word) });
    holder.innerHTML = math;
    at("formula").append(make("h3", {}, say(word)), holder);
  }
  const line = make("p", { class: "numbers" });
  for (const [k, text] of step.entries[state.entry].split(/\^\{(.*?)\}/).entries())
    line.append(...(k % 2 ? [make("sup", {}, ...filledIn(text))] : filledIn(text)));
  const wrong = !hidden() && wrongEntries(step.tensor, kind).includes(state.entry);
  const result = hidden() ? "?" : show(numbers(step.tensor, kind)[state.entry]);
  line.append(" ", wrong ? make("span", { class: "bad" }, `≠ ${result} ✗`) : `= ${result}`);
  at("formula").append(make("h3", {}, `${say("numbers")}${say("colon")}${title}`), line);
}

// Without ``chosen`` a table is there to be looked at; with it, an entry can be chosen.
function table(name, kind, lit = new Set(), chosen = null) {
  const shape = shapeOf(name), size = shape.reduce((a, b) => a * b, 1);
  const columns = shape.length ? shape[shape.length - 1] : 1;
  const values = known(name, kind) && numbers(name, kind);
  const wrong = new Set(values ? wrongEntries(name, kind) : []);
  const body = make("tbody");
  for (let start = 0; start < size; start += columns) {
    const row = make("tr");
    for (let k = start; k < start + columns; k++) {
      const text = values ? show(values[k]) : "?";
      const cell = make("td", {}, text);
      cell.classList.toggle("lit", lit.has(k));
      cell.classList.toggle("wrong", wrong.has(k));
      if (chosen !== null) makeChoosable(cell, k, chosen, { name, text, columns, size });
      row.append(cell);
    }
    body.append(row);
  }
  const caption = make("caption", { class: kind === "gradient" ? "backward" : "forward" }, titleOf(name, kind));
  return make("table", chosen !== null ? { class: "result" } : {}, caption, body);
}

function makeChoosable(cell, k, chosen, { name, text, columns, size }) {
  cell.tabIndex = chosen === k ? 0 : -1;
  cell.setAttribute("aria-label", `${scene().tensors[name].label}${place(name, k)} ${text}`);
  cell.classList.toggle("chosen", chosen === k);
  cell.addEventListener("click", () => choose(k));
  cell.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (k + by >= 0 && k + by < size) choose(k + by);
  });
}

function choose(entry) {
  state.entry = entry;
  draw();
  document.querySelector("#tensors td.chosen").focus();
}

function drawTensors() {
  const step = stepNow(), pieces = make("div", { class: "pieces" });
  if (state.step > scene().steps.length) pieces.append(curve());
  else if (!step) pieces.append(...scene().given.map((name) => table(name, "value")));
  else {
    pieces.append(table(step.tensor, kindOf(step), new Set(), state.entry));
    const lit = {};
    for (const [k, text] of step.entries.entries())
      for (const [, letter, name, index] of text.matchAll(part)) {
        const entries = (lit[`${letter} ${name}`] ??= new Set());
        if (k === state.entry) entries.add(Number(index));
      }
    for (const [key, entries] of Object.entries(lit)) pieces.append(table(key.slice(2), kindOfLetter(key[0]), entries));
  }
  at("tensors").replaceChildren(pieces);
  at("tensors-title").textContent = say(step ? "tensors" : state.step ? "loss" : "given");
  at("guess").hidden = !hidden();
}

// ---- learning

const updatesNow = () => (state.step - scene().steps.length) * scene().learning.every;

function curve() {
  const sides = { numpy: fault()?.losses ?? scene().learning.numpy.losses, torch: scene().learning.torch.losses };
  const W = 460, H = 240, left = 44, all = sides.torch.length, now = updatesNow();
  const most = Math.max(...sides.numpy, ...sides.torch);
  const spot = (v, k) => [left + (k / (all - 1)) * (W - left - 10), H - 25 - (v / most) * (H - 45)];
  const box = make("svg", { width: W, height: H, viewBox: `0 0 ${W} ${H}`, role: "img" },
    make("line", { class: "edge", x1: left, y1: H - 25, x2: W - 10, y2: H - 25 }),
    make("text", { x: left - 6, y: 22, "text-anchor": "end" }, String(Number(most.toPrecision(2)))),
    make("text", { x: left - 6, y: H - 21, "text-anchor": "end" }, "0"),
    make("text", { x: W - 10, y: H - 8, "text-anchor": "end" }, `${all} ${say("updates")}`));
  const legend = make("figcaption");
  for (const [side, name] of [["numpy", "NumPy"], ["torch", "PyTorch"]]) {
    const losses = sides[side].slice(0, now), [x, y] = spot(losses.at(-1), losses.length - 1);
    box.append(make("polyline", { class: `curve ${side}`, points: losses.map((v, k) => spot(v, k).join(",")).join(" ") }), make("circle", { class: side, cx: x, cy: y, r: side === "numpy" ? 5 : 2.5 }));
    const key = make("svg", { width: 34, height: 10, "aria-hidden": "true" }, make("line", { class: `curve ${side}`, x1: 0, y1: 5, x2: 34, y2: 5 }));
    legend.append(make("span", {}, key, ` ${name} ${show(losses.length < now ? NaN : losses.at(-1))}`));
  }
  if (sides.numpy.length < now) legend.append(make("span", { class: "bad" }, say("infinite").replace("{n}", sides.numpy.length + 1)));
  box.setAttribute("aria-label", `${say("loss")}: ${legend.textContent}`);
  return make("figure", {}, box, legend);
}

function learnt() {
  const { learning } = scene(), k = state.step - scene().steps.length - 1, last = updatesNow() - 1;
  const rows = [[say("loss"), (fault()?.losses ?? learning.numpy.losses)[last], learning.torch.losses[last]]];
  if (!fault())
    learning.samples.forEach((sample, n) => rows.push([`p(${sample.join(", ")}) → ${learning.targets[n]}`, learning.numpy.shown[k][n], learning.torch.shown[k][n]]));
  return rows.map(([label, ours, theirs]) => [label, ours, theirs, undefined, !(Math.abs(ours - theirs) <= learning.allowed)]);
}

// ---- side by side

function drawCompare() {
  const step = stepNow();
  at("verdict").textContent = "";
  at("code").replaceChildren();
  at("intro").hidden = state.step > 0;
  at("beside").hidden = state.step === 0;
  at("code-title").hidden = !step;
  if (!step) {
    at("compare").replaceChildren(state.step ? comparison(learnt(), false) : "");
    return;
  }
  const kind = kindOf(step), found = scene().tensors[step.tensor][kind], slopes = numeric(step.tensor, kind);
  const wrong = wrongEntries(step.tensor, kind), ours = numbers(step.tensor, kind);
  const apart = (values) => (k) => isApart(values[k], slopes?.[k], found.allowed_numeric);
  const rows = ours.map((value, k) => [place(step.tensor, k) || titleOf(step.tensor, kind), value, found.torch[k], slopes?.[k], wrong.includes(k), apart(ours)(k)]);
  at("compare").replaceChildren(comparison(rows, Boolean(slopes)));
  const broken = fault()?.node === step.node && fault().code[(kind === "gradient" ? "d:" : "") + step.tensor];
  at("code").append(make("h3", {}, `NumPy: ${step.ran}`), ...(broken || step.numpy).map(source));
  at("code").append(make("h3", {}, "PyTorch"), make("pre", { tabindex: "0" }, step.torch));
  if (broken && broken.some((each) => each.wrong.length)) at("code").firstChild.append(make("span", { class: "bad" }, ` ✗ ${faultName(fault())}`));
  if (hidden()) return;
  const says = [wrong.length ? say("differ").replace("{n}", wrong.length).replace("{m}", ours.length) : say("agree")];
  if (slopes && wrong.length) {
    if (!wrong.some(apart(found.torch))) says.push(say("with_torch"));
    else if (!wrong.some(apart(ours))) says.push(say("with_numpy"));
  } else if (ours.some((_, k) => apart(ours)(k))) says.push(say("numeric_apart"));
  at("verdict").className = wrong.length ? "bad" : "good";
  at("verdict").textContent = says.join(state.language === "zh" ? "" : " ");
}

// A function that ran: the line that makes this step's tensor is marked, and a line that is wrong.
function source({ lines, makes, wrong }) {
  const code = make("pre", { tabindex: "0", class: "source" });
  lines.forEach((text, k) => {
    const line = make("span", { class: wrong.includes(k) ? "line bad" : makes.includes(k) ? "line makes" : "line" }, text);
    if (wrong.includes(k)) line.append(make("span", { class: "mark" }, "  ✗"));
    code.append(line, "\n");
  });
  return code;
}

// Rows of a label, NumPy's number, PyTorch's, the numeric one, whether it is wrong, and whether the numeric is another.
function comparison(rows, slopes) {
  const heads = ["", say("entry"), "NumPy", "PyTorch", ...(slopes ? [say("numeric")] : []), say("difference")];
  const head = make("tr", {}, ...heads.map((text) => (text ? make("th", { scope: "col" }, text) : make("td"))));
  const body = make("tbody");
  rows.forEach(([label, ours, theirs, numericValue, wrong, apart], k) => {
    const row = make("tr", {}, make("td", {}, hidden() ? "?" : wrong ? "✗" : "✓"), make("th", { scope: "row" }, label));
    const cells = [show(ours), show(theirs), ...(slopes ? [show(numericValue)] : []), show(ours - theirs, 2)];
    row.append(...cells.map((text) => make("td", {}, hidden() ? "?" : text)));
    if (!hidden() && apart && !wrong) row.children[4].classList.add("apart");
    row.classList.toggle("wrong", Boolean(wrong && !hidden()));
    if (stepNow()) {
      row.classList.toggle("chosen", k === state.entry);
      row.addEventListener("click", () => { state.entry = k; draw(); });
    }
    body.append(row);
  });
  return make("table", {}, make("thead", {}, head), body);
}

const firstWrong = () => scene().steps.findIndex((step) => wrongEntries(step.tensor, kindOf(step)).length) + 1;

function drawFault() {
  const chosen = fault();
  at("broken").hidden = !chosen;
  if (!chosen) return;
  const first = firstWrong(), step = scene().steps[first - 1];
  const entry = titleOf(step.tensor, kindOf(step)) + place(step.tensor, telling(step));
  const jump = make("button", { type: "button" }, say("first").replace("{n}", first).replace("{entry}", entry));
  jump.addEventListener("click", () => move(first));
  const layer = `${scene().graph.find((node) => node.out === chosen.node).name} (${scene().tensors[chosen.node].label})`;
  at("broken").replaceChildren(
    make("h2", {}, `✗ ${faultName(chosen)}`), jump,
    make("p", {}, say("says").replace("{layer}", layer)), make("pre", { tabindex: "0" }, chosen.says));
}

// ---- the whole

function drawSheet() {
  const given = make("div", { class: "pieces" }, ...scene().given.map((name) => table(name, "value")));
  at("sheet").replaceChildren(make("h2", {}, `${say("sheet")}${say("colon")}${trace.titles[scene().name][state.language][0]}`), given);
  scene().steps.forEach((step, number) => {
    const shape = shapeOf(step.tensor), columns = shape.length ? shape[shape.length - 1] : 1;
    const formula = make("div");
    formula.innerHTML = step.symbols;
    // What was drawn at random nobody can compute.
    const drawn = step.phase === "batch" && numbers(step.tensor, "value");
    const body = make("tbody");
    for (let start = 0; start < step.entries.length; start += columns)
      body.append(make("tr", {}, ...Array.from({ length: columns }, (_, k) => make("td", {}, drawn ? show(drawn[start + k]) : ""))));
    at("sheet").append(make("article", {}, make("h3", {}, `${number + 1}. ${titleOfStep(number + 1)}`), formula, make("table", {}, body)));
  });
}

function fill(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  select.value = chosen;
}

// What changes with the language and the scene only.
function drawChoices() {
  document.documentElement.lang = state.language === "zh" ? "zh-Hans" : "en";
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  for (const element of document.querySelectorAll("[data-name]")) element.setAttribute("aria-label", say(element.dataset.name));
  at("language").value = state.language;
  fill(at("scene"), trace.scenes.map((each, k) => [k, trace.titles[each.name][state.language][0]]), state.scene);
  fill(at("fault"), [[-1, say("nothing")], ...scene().faults.map((each, k) => [k, faultName(each)])], state.fault);
  fill(at("jump"), Array.from({ length: count() + 1 }, (_, k) => [k, `${k} / ${count()}  ${titleOfStep(k)}`]), state.step);
  at("about").textContent = trace.titles[scene().name][state.language][1];
  at("scrubber").max = count();
  drawSheet();
  draw();
}

function draw() {
  const step = stepNow(), title = `${say("step")} ${state.step} / ${count()}${say("colon")}${titleOfStep(state.step)}`;
  at("play").textContent = say(timer ? "pause" : "play");
  at("play").setAttribute("aria-pressed", String(Boolean(timer)));
  at("jump").value = at("scrubber").value = state.step;
  at("scrubber").setAttribute("aria-valuetext", title);
  at("where").textContent = title;
  at("where").className = step?.phase === "backward" ? "backward" : "forward";
  at("why").textContent = trace.why[step ? step.why : state.step ? "repeat" : "start"][state.language];
  at("previous").disabled = state.step === 0;
  at("next").disabled = state.step === count();
  drawGraph();
  drawFormula();
  drawTensors();
  drawCompare();
  drawFault();
  const link = { scene: scene().name, step: state.step };
  if (fault()) link.break = state.fault + 1;
  if (state.language !== usual) link.language = state.language;
  history.replaceState(null, "", `#${new URLSearchParams(link)}`);
}

function move(number) {
  state.step = Math.max(0, Math.min(count(), number));
  state.entry = stepNow() ? telling(stepNow()) : 0;
  at("answer").textContent = "";
  if (state.step === count()) stop();
  draw();
  if (hidden() && [document.body, at("number")].includes(document.activeElement)) at("number").focus();
}

function stop() {
  clearTimeout(timer);
  timer = null;
}

// A step can be read while it stands; repeating runs on, if motion is welcome.
function goOn() {
  const runs = state.step >= scene().steps.length && !matchMedia("(prefers-reduced-motion: reduce)").matches;
  timer = setTimeout(() => { goOn(); move(state.step + 1); }, runs ? 300 : 3000);
}

function play() {
  if (timer) stop();
  else if (state.step < count()) goOn();
  draw();
}

function enter(number, step = 0, broken = -1) {
  stop();
  state.scene = number;
  state.fault = scene().faults[broken] ? broken : -1;
  state.step = state.entry = 0;
  drawChoices();
  move(step);
}

function follow() {
  const asked = new URLSearchParams(location.hash.slice(1)), language = asked.get("language") ?? usual;
  const found = trace.scenes.findIndex((each) => each.name === asked.get("scene"));
  if (language in trace.titles.xor) state.language = language;
  const whole = (word) => Number.parseInt(asked.get(word) ?? "0", 10) || 0;
  enter(Math.max(0, found), whole("step"), whole("break") - 1);
}

// A number or a fraction, with a decimal point or comma; null if it is neither.
function read(text) {
  const found = text.trim().replace(/[−–]/g, "-").replaceAll(",", ".").split("/");
  const values = found.map((each) => (each.trim() === "" ? NaN : Number(each)));
  const value = values.length === 2 ? values[0] / values[1] : values.length === 1 ? values[0] : NaN;
  if (!Number.isFinite(value)) return null;
  const decimals = found[0].split(/e/i)[0].split(".")[1]?.length ?? 0;
  return { value, half: values.length === 1 ? 0.5 * 10 ** -decimals : 0 };
}

// Right is what rounds so, as far as it says, and within a twentieth; or what half a percent is between.
function isNear({ value, half }, expected) {
  const apart = Math.abs(value - expected), size = Math.abs(expected);
  return apart <= Math.max(Math.min(half * 1.000001, size / 20), size / 200);
}

at("previous").addEventListener("click", () => move(state.step - 1));
at("next").addEventListener("click", () => move(state.step + 1));
at("play").addEventListener("click", play);
at("scrubber").addEventListener("input", (event) => move(Number(event.target.value)));
at("jump").addEventListener("change", (event) => move(Number(event.target.value)));
at("scene").addEventListener("change", (event) => enter(Number(event.target.value)));
at("fault").addEventListener("change", (event) => { state.fault = Number(event.target.value); move(state.step); });
at("language").addEventListener("change", (event) => { state.language = event.target.value; drawChoices(); });
at("full").addEventListener("change", (event) => { state.full = event.target.checked; draw(); });
at("predict").addEventListener("change", (event) => { state.predict = event.target.checked; draw(); });
at("guess").addEventListener("submit", (event) => {
  event.preventDefault();
  const step = stepNow(), value = numbers(step.tensor, kindOf(step))[state.entry];
  const text = at("number").value, guess = read(text);
  if (text.trim() && !guess) {
    at("answer").className = "bad";
    at("answer").textContent = say("no_number");
    return;
  }
  state.shown.add(`${state.scene}.${state.step}`);
  at("number").value = "";
  draw();
  at("answer").className = guess && !isNear(guess, value) ? "bad" : "good";
  at("answer").textContent = say(!guess ? "answer" : isNear(guess, value) ? "right" : "wrong").replace("{v}", show(value));
});
document.addEventListener("keydown", (event) => {
  const empty = event.target.id === "number" && event.target.value === "" && event.key !== " ";
  if ((event.target.closest("select, input, button, textarea") && !empty) || event.ctrlKey || event.metaKey || event.altKey) return;
  const to = { ArrowLeft: state.step - 1, ArrowRight: state.step + 1, Home: 0, End: count() }[event.key];
  if (to !== undefined) move(to);
  else if (event.key === " ") play();
  else return;
  event.preventDefault();
});
addEventListener("hashchange", follow);
follow();

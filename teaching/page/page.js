// What the page shows was recorded: this file draws it, and computes nothing of the model.
"use strict";

const record = JSON.parse(document.getElementById("record").textContent);
const at = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// -- pieces ---------------------------------------------------------------------------------------------------------

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function table(titles, rows) {
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
  const body = rows.map(([first, ...others]) =>
    element("tr", {}, element("th", { scope: "row" }, first), ...others.map((cell) => element("td", {}, cell))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

// A token as it is read: isolated, so that one that is written from right to left turns nothing else around.
const written = (token) => element("bdi", {}, token.replace(/ /g, "·"));
const number = (value) => (value === null ? "not finite" : String(value));
const times = (ratio) => (ratio === null ? "not computed" : ratio >= 1e12 ? "beyond measure" : ratio >= 100 ? Math.round(ratio).toLocaleString("en") : ratio.toPrecision(2));

function list(id, pairs) {
  at(id).replaceChildren(...pairs.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]));
}

// -- pictures -------------------------------------------------------------------------------------------------------

// A number in [-1, 1] as a colour between cold, none and warm; null as a hole.
function shade(share) {
  const [none, end] = [colour("--none"), colour(share < 0 ? "--cold" : "--warm")].map((text) => text.split(" ").map(Number));
  const part = Math.min(1, Math.abs(share)) ** 0.6;
  return none.map((value, i) => Math.round(value + (end[i] - value) * part));
}

function paint(canvas, rows, columns, share) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const known = new Map();
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const value = share(row, column);
      const step = value === null ? null : Math.round(value * 100);
      if (!known.has(step)) known.set(step, step === null ? [128, 128, 128] : shade(step / 100));
      image.data.set([...known.get(step), 255], 4 * (row * columns + column));
    }
  }
  context.putImageData(image, 0, 0);
}

// A plot is drawn for the width that it has, so that its letters are as large as the page's.
function wide(id, height) {
  const width = Math.round(at(id).parentElement.clientWidth) || 960;
  at(id).setAttribute("viewBox", `0 0 ${width} ${height}`);
  return width;
}

// -- attention ------------------------------------------------------------------------------------------------------

let pass = record.passes[0];
let kind = "probs";
let chosen = [0, 0];

const matrix = (layer, head) => pass.attention[layer][kind][head];

function shareOf(values) {
  const largest = Math.max(...values.flat().map((value) => Math.abs(value ?? 0))) || 1;
  return (row, column) => (values[row][column] === null ? null : values[row][column] / (kind === "probs" ? 1 : largest));
}

// "layer 3" of roberta.encoder.layer.3.attention.self
function layerName(name) {
  const found = /layer\.(\d+)\.(cross)?attention/.exec(name);
  return found ? `layer ${found[1]}${found[2] ? ", encoder" : ""}` : name;
}

function drawHeads() {
  at("heads").replaceChildren(...pass.attention.flatMap((one, layer) => {
    const buttons = one[kind].map((values, head) => {
      const canvas = element("canvas", { "aria-hidden": "true" });
      paint(canvas, values.length, values[0].length, shareOf(values));
      const label = `${layerName(one.name)}, head ${head}`;
      const button = element("button", { type: "button", "aria-label": label, title: label }, canvas);
      button.setAttribute("aria-pressed", String(chosen[0] === layer && chosen[1] === head));
      button.addEventListener("click", () => choose(layer, head));
      return button;
    });
    return [element("span", { class: "name" }, layerName(one.name)), element("div", { class: "row" }, ...buttons)];
  }));
}

function choose(layer, head) {
  chosen = [layer, head];
  const names = [...at("heads").querySelectorAll("button")];
  let count = 0;
  pass.attention.forEach((one, l) => one[kind].forEach((_, h) => names[count++].setAttribute("aria-pressed", String(l === layer && h === head))));
  drawHead();
}

function drawHead() {
  const [layer, head] = chosen;
  const values = matrix(layer, head);
  const all = pass.tokens[0];
  const rows = all.slice(all.length < values.length ? 0 : values.length === 1 && all.length > 1 ? all.length - 1 : 0);
  const what = kind === "probs" ? "probabilities" : "scores";
  at("head-title").textContent = `${layerName(pass.attention[layer].name)}, head ${head}: ${what}`;
  const cell = Math.max(12, Math.min(26, 620 / values[0].length)), left = 92, top = 92, ratio = devicePixelRatio || 1;
  const [width, height] = [left + cell * values[0].length + 8, top + cell * values.length + 4];
  const canvas = at("head"), context = canvas.getContext("2d"), share = shareOf(values);
  [canvas.width, canvas.height] = [width * ratio, height * ratio];
  [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
  context.scale(ratio, ratio);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const name = (token) => (token ?? "").replace(/ /g, "·").slice(0, 12);
  values.forEach((row, i) => row.forEach((value, j) => {
    context.fillStyle = value === null ? "gray" : `rgb(${shade(share(i, j)).join(" ")})`;
    context.fillRect(left + j * cell, top + i * cell, cell - 1, cell - 1);
  }));
  context.fillStyle = colour("--ink");
  context.textAlign = "right";
  values.forEach((_, i) => context.fillText(name(rows[i]), left - 5, top + (i + 0.5) * cell));
  context.textAlign = "left";
  values[0].forEach((_, j) => {
    context.save();
    context.translate(left + (j + 0.5) * cell, top - 5);
    context.rotate(-Math.PI / 3);
    context.fillText(name(all[j]), 0, 0);
    context.restore();
  });
  const strongest = values.map((row, i) => [row[row.indexOf(Math.max(...row.map((v) => v ?? -Infinity)))], i]).sort((a, b) => b[0] - a[0])[0];
  const words = `Rows look, columns are looked at. The strongest: ${name(rows[strongest[1]])} at ${name(all[values[strongest[1]].indexOf(strongest[0])])}, ${number(strongest[0])}.`;
  at("head-words").textContent = words;
  canvas.setAttribute("aria-label", `${at("head-title").textContent}. ${words}`);
  at("head-table").replaceChildren(table(["token", ...values[0].map((_, j) => written(all[j] ?? ""))], values.map((row, i) => [written(rows[i] ?? ""), ...row.map(number)])));
}

// -- every value ----------------------------------------------------------------------------------------------------

let tap = 0;

function drawTaps() {
  at("taps").tBodies[0].replaceChildren(...pass.taps.map((one, i) => {
    const button = element("button", { type: "button" }, one.name.replace("roberta.", ""));
    button.addEventListener("click", () => showTap(i));
    const cells = [one.shape.join(" × "), number(one.min), number(one.max), number(one.rms)];
    return element("tr", {}, element("th", { scope: "row" }, button), ...cells.map((cell) => element("td", {}, cell)));
  }));
  showTap(Math.min(tap, pass.taps.length - 1));
}

function showTap(i) {
  tap = i;
  [...at("taps").tBodies[0].rows].forEach((row, j) => row.setAttribute("aria-current", String(i === j)));
  const one = pass.taps[i], picture = one.picture, largest = Math.max(Math.abs(one.min), Math.abs(one.max));
  at("tap-title").textContent = one.name;
  at("tap-equation").textContent = one.equation;
  at("tap-source").textContent = one.source;
  at("tap-link").textContent = `reference/${one.file}, line ${one.line}`;
  at("tap-link").href = `#${one.file}-${one.line}`;
  const letters = one.axes.split(" ");
  list("tap-axes", [["shape", one.shape.join(" × ")], ...letters.map((letter, k) => [letter, `${record.axes[letter] ?? letter}: ${one.shape[k] ?? ""}`]), ["mean", number(one.mean)], ["root mean square", number(one.rms)]]);
  const bytes = Uint8Array.from(atob(picture.data), (letter) => letter.charCodeAt(0));
  paint(at("tap-picture"), picture.rows, picture.columns, (row, column) => {
    const byte = bytes[row * picture.columns + column];
    return byte === 0 ? null : (byte - 128) / 127;
  });
  at("tap-picture").style.height = `${Math.max(40, Math.min(320, (picture.rows * 440) / picture.columns))}px`;
  const every = picture.steps.some((step) => step > 1) ? ` Shown is one row of ${picture.steps[0]}, one column of ${picture.steps[1]}.` : "";
  const scale = `Blue is negative, red positive, from ${number(one.min)} to ${number(one.max)}; the last axis runs to the right.${every}`;
  at("tap-scale").textContent = scale;
  at("tap-picture").setAttribute("aria-label", `${one.name}: ${scale}`);
  const most = Math.max(...one.histogram), whole = wide("tap-histogram", 140), width = (whole - 20) / one.histogram.length;
  at("tap-histogram").setAttribute("aria-label", `Histogram of ${one.name}: ${one.histogram.join(", ")} values from ${number(one.min)} to ${number(one.max)}`);
  at("tap-histogram").replaceChildren(
    ...one.histogram.map((count, k) => drawn("rect", { class: "bar", x: 10 + k * width, width: Math.max(1, width - 1), y: 116 - (110 * count) / most, height: (110 * count) / most })),
    drawn("text", { x: 10, y: 134 }, number(one.min)), drawn("text", { x: whole - 10, y: 134, "text-anchor": "end" }, number(one.max)));
}

// Of marks along an axis those that are far enough from the one before.
function apart(marks, place, least) {
  let last = -Infinity;
  return marks.filter((mark) => place(mark) - last >= least && ((last = place(mark)), true));
}

// -- residual stream ------------------------------------------------------------------------------------------------

function drawStream() {
  const all = pass.stream.flatMap((one) => one.norms).filter((norm) => norm > 0);
  const [low, high] = [Math.log10(Math.min(...all)), Math.log10(Math.max(...all))];
  const whole = wide("stream-plot", 320);
  const x = (i) => 60 + (i * (whole - 80)) / Math.max(1, pass.stream.length - 1);
  const y = (norm) => 280 - (260 * (Math.log10(norm) - low)) / (high - low || 1);
  const count = pass.stream[0]?.norms.length ?? 0;
  const lines = [...Array(count).keys()].map((t) => {
    const points = pass.stream.map((one, i) => (one.norms[t] > 0 ? `${x(i)},${y(one.norms[t])}` : "")).join(" ");
    const line = drawn("polyline", { class: "token", points });
    line.append(drawn("title", {}, pass.tokens[0][t] ?? ""));
    return line;
  });
  const marks = pass.stream.map((one, i) => [one, i]).filter(([one]) => /output\.LayerNorm\.output|embeddings\.LayerNorm/.test(one.name) && !/attention/.test(one.name));
  const ticks = apart(marks, ([, i]) => x(i), 30);
  at("stream-plot").replaceChildren(
    ...[low, (low + high) / 2, high].flatMap((value) => [drawn("line", { class: "grid", x1: 56, x2: whole - 16, y1: y(10 ** value), y2: y(10 ** value) }), drawn("text", { x: 50, y: y(10 ** value) + 4, "text-anchor": "end" }, (10 ** value).toPrecision(2))]),
    ...ticks.map(([one, i]) => drawn("text", { x: x(i), y: 310, "text-anchor": "middle" }, /embeddings/.test(one.name) ? "emb." : /layer\.(\d+)/.exec(one.name)?.[1] ?? "")),
    ...lines);
  at("stream-table").replaceChildren(table(["value", ...(pass.tokens[0] ?? []).slice(0, count).map(written)], pass.stream.map((one) => [one.name.replace("roberta.", ""), ...one.norms.map(number)])));
}

// -- answers --------------------------------------------------------------------------------------------------------

function shares(best) {
  return table(["word", "probability"], best.map(([word, share]) => {
    const bar = element("span", { class: "share" }, `${(100 * share).toFixed(2)} %`);
    bar.style.setProperty("--part", `${100 * share}%`);
    return [written(word), bar];
  }));
}

function values(found) {
  return Object.entries(found).map(([name, numbers]) => element("p", {}, `${name}: ${JSON.stringify(numbers).slice(0, 600)}`));
}

function drawAnswer() {
  const words = (pass.answer.words ?? []).flatMap((one) => [
    element("h3", {}, "At token ", String(one.token), ", ", written(pass.tokens[0][one.token] ?? "the last")),
    table(["word", "logit", "probability"], one.best.map(([word, logit, share]) => [written(word), number(logit), `${(100 * share).toFixed(2)} %`]))]);
  at("answers").replaceChildren(...words, ...values(pass.answer.values ?? {}));
}

// -- break it -------------------------------------------------------------------------------------------------------

let hidden = null; // the number of the fault that is to be guessed
const order = record.faults[0]?.order ?? [];

// The name of a value, without its front where there is no room for it.
function short(name) {
  const own = name.replace("roberta.", ""), most = Math.floor((at("fault-plot").viewBox.baseVal.width - 80) / 7.5);
  return own.length <= most ? own : `…${own.slice(own.length - most + 1)}`;
}

let shown = null;

function drawFault(fault) {
  shown = fault;
  const is_secret = hidden !== null;
  at("fault-title").textContent = is_secret ? "Something is broken. What?" : fault.title;
  at("fault-words").textContent = is_secret ? "Choose the mistake that makes this plot." : fault.mistake + (fault.hidden ? `. ${fault.hidden}` : "");
  list("fault-lines", is_secret || !fault.correct ? [] : [["the spec", element("code", {}, fault.correct)], ["the mistake", element("code", {}, fault.wrong)], ["departs at", fault.own_tap]]);
  const [bottom, top] = [-3, Math.max(4, ...fault.ratios.map((ratio) => Math.min(9, Math.ceil(Math.log10(ratio ?? 1)))))];
  const whole = wide("fault-plot", 380);
  const x = (i) => 56 + (i * (whole - 72)) / Math.max(1, order.length - 1);
  const y = (ratio) => 340 - (320 * (Math.min(top, Math.max(bottom, Math.log10(ratio || 1e-9))) - bottom)) / (top - bottom);
  const known = fault.ratios.map((ratio, i) => [ratio, i]).filter(([ratio]) => ratio !== null);
  const first = order.indexOf(fault.first);
  const powers = [...Array(top - bottom + 1).keys()].map((k) => bottom + k);
  const layers = order.map((name, i) => [/layer\.(\d+)\.attention\.self\.key$/.exec(name)?.[1], i]).filter(([layer]) => layer);
  at("fault-plot").replaceChildren(
    ...powers.flatMap((power) => [drawn("line", { class: "grid", x1: 56, x2: whole - 16, y1: y(10 ** power), y2: y(10 ** power) }), drawn("text", { x: 50, y: y(10 ** power) + 4, "text-anchor": "end" }, power === 0 ? "1" : `10${String(power).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)])}`)]),
    ...apart(layers, ([, i]) => x(i), 58).map(([layer, i]) => drawn("text", { x: Math.min(x(i), whole - 58), y: 366 }, `layer ${layer}`)),
    drawn("line", { class: "limit", x1: 56, x2: whole - 16, y1: y(1), y2: y(1) }),
    drawn("polyline", { class: "trail", points: known.map(([ratio, i]) => `${x(i)},${y(ratio)}`).join(" ") }),
    ...known.map(([ratio, i]) => {
      const dot = drawn("circle", { cx: x(i), cy: y(ratio), r: 3, ...(ratio > 1 ? { class: "over" } : {}) });
      dot.append(drawn("title", {}, `${order[i]}: ${times(ratio)}`));
      return dot;
    }),
    ...(first < 0 ? [] : [drawn("circle", { class: "first", cx: x(first), cy: y(fault.ratios[first]), r: 8 }), drawn("text", { class: "first", x: x(first) < whole / 2 ? x(first) : whole - 16, "text-anchor": x(first) < whole / 2 ? "start" : "end", y: 14 }, short(order[first]))]));
  const largest = Math.max(...known.map(([ratio]) => ratio));
  const caption = first < 0 ? `Every value is within the budget; the largest error is ${times(largest)} of it.` : `First departure: ${fault.first}, at ${times(fault.ratios[first])} times the budget; the largest is ${times(largest)}.`;
  at("fault-caption").textContent = `Error / budget, value by value. ${caption}`;
  at("fault-plot").setAttribute("aria-label", at("fault-caption").textContent);
  at("fault-table").replaceChildren(table(["value", "error / budget"], known.map(([ratio, i]) => [order[i], times(ratio)])));
  const [right, wrong] = [record.faults[0], fault];
  at("fault-answer").replaceChildren(
    ...right.words.map((best, k) => table(["without the mistake", "probability", "with it", "probability"], best.map(([word, share], j) => {
      const [other, its] = wrong.words[k]?.[j] ?? ["", null];
      return [written(word), `${(100 * share).toFixed(2)} %`, element("span", { class: other === word ? "right" : "wrong" }, written(other)), its === null ? "not finite" : `${(100 * its).toFixed(2)} %`];
    }))),
    ...(right.words.length ? [] : values(wrong.values)));
}

const marked = () => document.querySelector('input[name="fault"]:checked');

// To choose is not to answer: with the keyboard one walks through all of them.
function pick(index) {
  if (hidden === null) return drawFault(record.faults[index]);
  at("solve").disabled = false;
  at("fault-words").textContent = `Is it “${record.faults[index].title}”? If you think so: “This is it”, or Enter.`;
}

function solve() {
  if (hidden === null || !marked()) return;
  const found = record.faults[Number(marked().value)];
  if (Number(marked().value) !== hidden) {
    at("fault-words").textContent = `No: “${found.title}” would first be seen at ${found.first ?? "nothing here"}. Look where the line first crosses 1.`;
    return;
  }
  end(`Right. ${found.mistake}.`);
}

function end(words) {
  const found = record.faults[hidden];
  document.querySelector(`input[name="fault"][value="${hidden}"]`).checked = true;
  hidden = null;
  drawFault(found);
  at("fault-words").textContent = words;
  guessing(false);
}

function guessing(is_on) {
  at("guess").textContent = is_on ? "Another one" : "Guess another";
  if (!is_on && [at("solve"), at("reveal")].includes(document.activeElement)) at("guess").focus();
  at("solve").hidden = at("reveal").hidden = !is_on;
  at("solve").disabled = true;
}

function guess() {
  const seen = record.faults.map((fault, i) => [fault, i]).filter(([fault, i]) => i > 0 && fault.first !== null);
  hidden = seen[Math.floor(Math.random() * seen.length)][1];
  document.querySelectorAll('input[name="fault"]').forEach((input) => { input.checked = false; });
  guessing(true);
  drawFault(record.faults[hidden]);
}

// Where the page stands in the site, the package itself is at hand: `robertaRuntime.run(name, text)` gives a fault anew.
async function runLive() {
  const index = hidden ?? Number(marked()?.value ?? 0); // while one guesses, what is hidden is what runs
  at("fault-caption").textContent = "Running …";
  try {
    const found = await globalThis.robertaRuntime.run(record.faults[index].name, record.text);
    drawFault({ ...record.faults[index], ...found, ratios: order.map((name) => found.ratios[name] ?? null), words: record.faults[index].words });
  } catch (error) {
    at("fault-caption").textContent = `It did not run: ${error.message}`;
  }
}

// -- all of it ------------------------------------------------------------------------------------------------------

function drawPass() {
  chosen = [Math.min(chosen[0], pass.attention.length - 1), chosen[1]];
  if (pass.attention.length) { drawHeads(); drawHead(); }
  drawTaps();
  drawStream();
  drawAnswer();
}

function listen(name, then) {
  document.querySelectorAll(`input[name="${name}"]`).forEach((input) => input.addEventListener("change", () => then(input.value)));
}

// A line of the source that is asked for is shown: its file is opened.
function open() {
  const line = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (line?.closest("details")) { line.closest("details").open = true; line.scrollIntoView({ block: "center" }); }
}

addEventListener("hashchange", open);
at("tap-link").addEventListener("click", () => setTimeout(open));
listen("pass", (value) => { pass = record.passes[Number(value)]; drawPass(); });
listen("kind", (value) => { kind = value; drawHeads(); drawHead(); });
listen("fault", (value) => pick(Number(value)));

function drawAll() {
  drawPass();
  if (shown) redrawFault();
}

// What the words beside a plot say stays as it is.
function redrawFault() {
  const words = at("fault-words").textContent;
  drawFault(shown);
  at("fault-words").textContent = words;
}

// Paper is white, whatever the screen is.
function printing(is_on) {
  if (("printed" in document.documentElement.dataset) === is_on) return;
  is_on ? (document.documentElement.dataset.printed = "") : delete document.documentElement.dataset.printed;
  drawAll();
}

addEventListener("beforeprint", () => printing(true));
addEventListener("afterprint", () => printing(false));
matchMedia("print").addEventListener("change", (media) => printing(media.matches));
dark.addEventListener("change", drawAll);
let waiting = 0, lastWidth = innerWidth;
addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => { if (innerWidth !== lastWidth) { lastWidth = innerWidth; drawAll(); } }, 120);
});
drawPass();
if (record.faults.length) {
  drawFault(record.faults[0]);
  at("guess").addEventListener("click", guess);
  at("solve").addEventListener("click", solve);
  at("reveal").addEventListener("click", () => end(`It was: ${record.faults[hidden].mistake}.`));
  at("faults").addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.name === "fault") solve(); });
  at("live").addEventListener("click", runLive);
  addEventListener("DOMContentLoaded", () => { at("live").hidden = !globalThis.robertaRuntime; }); // a module comes late
}

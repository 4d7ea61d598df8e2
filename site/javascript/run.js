// The page "Run the spec": forms whose answers come from the worker. Whatever is shown is set as text, never as HTML.

import { runtime } from "./runtime.js";

const find = (id) => document.getElementById(id);
const status = find("spec-status");

/** An element: make("td", "text", {class: "number"}). */
function make(tag, content = "", attributes = {}) {
  const element = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...[content].flat());
  return element;
}

function table(caption, heads, rows) {
  const head = make("tr", heads.map((text) => make("th", text, { scope: "col" })));
  return make("table", [make("caption", caption), make("thead", head), make("tbody", rows)], { class: "spec-table" });
}

const percent = (p) => `${(100 * p).toPrecision(3)} %`;
const number = (x) => (x !== 0 && (x >= 1e4 || x < 1e-2) ? x.toExponential(1) : String(Number(x.toPrecision(3))));
const row = (...cells) => make("tr", cells.map((cell) => make("td", cell)));

function words(tokens, probabilities, caption) {
  return table(caption, ["word", "probability"], tokens.map((token, i) => row(token, percent(probabilities[i]))));
}

/** Error over budget at every tap, on a logarithmic scale from 0.01 to 10,000; 1 is the line that none may cross. */
function ratios(found, first) {
  const rows = Object.entries(found).map(([tap, ratio]) => {
    const share = Math.min(Math.max(Math.log10(Math.max(ratio, 1e-9)) + 2, 0), 6) / 6;
    const bar = make("div", "", { class: "spec-bar", style: `inline-size: ${100 * share}%` });
    const name = make("th", tap === first ? `${tap} ← first` : tap, { scope: "row" });
    const line = make("tr", [name, make("td", number(ratio)), make("td", bar, { "aria-hidden": "true" })]);
    line.dataset.tap = tap;
    line.classList.toggle("spec-over", ratio > 1);
    line.classList.toggle("spec-first", tap === first);
    return line;
  });
  const caption = "Largest error at every tap, in units of what float32 may err there";
  const whole = table(caption, ["tap", "error / budget", "0.01 … 1 … 10,000"], rows);
  return make("div", whole, { class: "spec-scroll", tabindex: "0", role: "region", "aria-label": caption });
}

function parity(found, first) {
  const all = Object.values(found);
  const over = all.filter((ratio) => ratio > 1).length;
  if (first === null) return `Parity: passed. All ${all.length} taps are within the budget of float32.`;
  const top = number(Math.max(...all));
  return `Parity: failed. ${over} of ${all.length} taps are beyond the budget, up to ${top} times; the first is ${first}.`;
}

// -- forms -----------------------------------------------------------------------------------------------------------

/** Let a form ask on submit; `show` returns a sentence for the status line and what the output holds. */
function form(id, ask, show) {
  const element = find(id);
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    const output = element.querySelector("output");
    const began = performance.now();
    element.setAttribute("aria-busy", "true");
    status.textContent = "Computing …";
    try {
      const [said, ...content] = show(await ask());
      output.replaceChildren(make("p", said), ...content);
      status.textContent = `${said} (${((performance.now() - began) / 1000).toFixed(2)} s)`;
    } catch (error) {
      const where = error.line ? `line ${error.line}: ` : "";
      const kind = ["Error", "CellError"].includes(error.name) ? "" : `${error.name}: `;
      output.replaceChildren(make("p", `${where}${kind}${error.message}`, { class: "spec-error" }));
      if (status.dataset.state === "ready") status.textContent = output.textContent; // else it says that it was ended
      if (error.line) select(element.querySelector("textarea"), error.line);
    }
    element.removeAttribute("aria-busy");
  });
}

/** Put the cursor on a line of a cell. */
function select(area, line) {
  const lines = area.value.split("\n");
  const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
}

const printed = (text) => (text ? [make("pre", text, { tabindex: "0", role: "region", "aria-label": "printed" })] : []);
const text = () => find("spec-text").value;

function connect() {
  form("spec-fill", () => runtime.ask("fill_mask", { text: text() }), (masks) => [
    `The most probable word is “${masks[0][0].token_str.trim()}”.`,
    ...masks.map((mask, i) =>
      words(mask.map((one) => one.token_str), mask.map((one) => one.score), `Mask ${i + 1}`)),
  ]);
  form("spec-fault", () => runtime.run(find("spec-fault-name").value, text()), (run) => [
    parity(run.ratios, run.first),
    make("p", `${run.title}: ${run.mistake}.`),
    make("pre", `- ${run.correct}\n+ ${run.wrong}`, { tabindex: "0", role: "region", "aria-label": "the line of the spec, and the mistaken one" }),
    ...(run.hidden ? [make("p", run.hidden)] : []),
    ...run.outcome.words.map((one) => words(one.tokens, one.probabilities, `What it says at token ${one.token}`)),
    ratios(run.ratios, run.first),
  ]);
  form(
    "spec-cell",
    () => runtime.ask("run_cell", { name: find("spec-cell-name").value, source: find("spec-cell-source").value, text: text() }),
    (run) => [
      parity(run.ratios, run.first),
      ...printed(run.printed),
      ...run.words.map((one, i) =>
        words(one.map((word) => word.token), one.map((word) => word.probability), `What it says at mask ${i + 1}`)),
      ratios(run.ratios, run.first),
    ],
  );
  form(
    "spec-exercise",
    () => runtime.ask("judge", { name: find("spec-exercise-name").value, source: find("spec-exercise-source").value }),
    (found) => [found.passed ? "Passed." : "Not yet.", make("pre", found.verdict, { tabindex: "0", role: "region", "aria-label": "verdict" }), ...printed(found.printed)],
  );
}

// -- start and stop --------------------------------------------------------------------------------------------------

/** A choice whose text is put into a cell when it is made, and put back by the form's reset. */
function choice(name, entries, area, first = entries[0]?.name) {
  const list = find(name);
  if (list.options.length || !entries.length) return; // the reader's text outlives a restart
  list.replaceChildren(...entries.map((entry) => make("option", entry.title ?? entry.name, { value: entry.name })));
  list.value = first;
  if (!area) return;
  const fill = () => {
    area.value = entries[list.selectedIndex].source;
    area.rows = area.value.split("\n").length + 1;
    const about = find(`${name}-text`);
    if (about) about.textContent = entries[list.selectedIndex].text;
  };
  list.addEventListener("change", fill);
  area.form.addEventListener("reset", (event) => {
    event.preventDefault();
    fill();
  });
  fill();
}

function onReady({ detail: { versions, faults, editable, exercises, seconds } }) {
  choice("spec-fault-name", faults, null, "tanh-gelu");
  choice("spec-cell-name", editable, find("spec-cell-source"), "layers.gelu");
  choice("spec-exercise-name", exercises, find("spec-exercise-source"));
  find("spec-exercises").hidden = exercises.length === 0;
  find("spec-forms").disabled = false;
  find("spec-start").disabled = true;
  find("spec-stop").disabled = false;
  status.dataset.state = "ready";
  status.textContent =
    `Ready after ${seconds.ready.toFixed(1)} s: roberta ${versions.roberta}, NumPy ${versions.numpy}, ` +
    `Python ${versions.python}, in this browser.`;
  prepare();
}

/** Have the budgets of the sentence derived, while the reader still chooses a mistake. */
function prepare() {
  runtime.ask("prepare", { text: text() }).catch(() => {}); // whoever asks for an answer is told what is wrong
}

function onStopped({ detail }) {
  find("spec-forms").disabled = true;
  find("spec-start").disabled = false;
  find("spec-stop").disabled = true;
  status.dataset.state = "stopped";
  status.textContent = `The spec was ended: ${detail}. Start it again to go on; your text is still there.`;
}

if (status) {
  connect();
  runtime.addEventListener("ready", onReady);
  runtime.addEventListener("stopped", onStopped);
  runtime.addEventListener("starting", () => {
    find("spec-start").disabled = true;
    find("spec-stop").disabled = false;
    status.dataset.state = "starting";
    status.textContent = "Loading Python, NumPy, the package and its checkpoint …";
  });
  find("spec-start").addEventListener("click", () => runtime.start().catch(() => {})); // told by `stopped`
  find("spec-text").addEventListener("change", prepare);
  find("spec-stop").addEventListener("click", () => runtime.stop("by you"));
}

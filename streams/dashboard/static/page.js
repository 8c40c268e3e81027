// Takes in the parts that changed, says how old they are, and shows the command behind a figure.
"use strict";
const state = document.getElementById("state"), evidence = document.getElementById("evidence"), command = document.getElementById("command");
let heardMs = 0, isLost = false, told = { fresh: false, at: "", error: null };

function show(word, text) {
  document.body.dataset.state = state.dataset.state = word;
  if (state.textContent !== text) state.textContent = text;
}

// UTC, written as the server writes times.
function when(ms) { return new Date(ms).toISOString().replace("T", " "); }

function judge() {
  if (Date.now() - heardMs > 20000 && heardMs) isLost = true;
  if (isLost) show("lost", `no word from the server${heardMs ? ` since ${when(heardMs)}` : ""}`);
  else if (heardMs === 0) return;
  else if (told.fresh) show("live", `live, ${told.at}`);
  else show("old", `${told.error || "no look at the cluster yet"}${told.at ? `: figures are of ${told.at}` : ""}`);
}

// The element that had the focus, and how far a table was scrolled, are found again by their place.
function replace(part, html) {
  const all = () => [...part.querySelectorAll("a, [tabindex]")], focused = all().indexOf(document.activeElement);
  const scrolled = [...part.querySelectorAll(".wide")].map((one) => one.scrollLeft);
  part.innerHTML = html;
  part.querySelectorAll(".wide").forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
  if (focused >= 0 && all()[focused]) all()[focused].focus({ preventScroll: true });
}

const events = new EventSource("events");
events.addEventListener("part", (event) => {
  const { name, html } = JSON.parse(event.data), part = document.getElementById(`${name}-part`);
  if (part) replace(part, html);
});
events.addEventListener("state", (event) => { told = JSON.parse(event.data); heardMs = Date.now(); isLost = false; judge(); });
events.onerror = () => { isLost = true; judge(); };
setInterval(judge, 1000);

document.addEventListener("click", (event) => {
  const figure = event.target.closest("a.figure");
  if (!figure) return;
  event.preventDefault();
  command.textContent = figure.dataset.command;
  evidence.hidden = false;
});
document.getElementById("copy").addEventListener("click", () => {
  const range = document.createRange();
  range.selectNodeContents(command);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  if (navigator.clipboard) navigator.clipboard.writeText(command.textContent).catch(() => {});
});
function close() { evidence.hidden = true; }
document.getElementById("close").addEventListener("click", close);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });

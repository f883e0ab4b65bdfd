"use strict";
// The page of crnn-label. All that comes from names, pictures or readers is set as text.

const UNSURE = 0.9;
const RETRY = 1000; // milliseconds until the server is asked again
const el = id => document.getElementById(id);
const shown = { line: null, busy: false };
const history = []; // keys of the lines that were shown before this one
const drafts = new Map(); // key -> what was typed and not sent
const pictures = new Map(); // key -> promise of {url, width}
const times = [];
let known = new Set();
let longest = 1;

// A window keeps its name when it is loaded again.
const windowName = sessionStorage.getItem("window") || Math.random().toString(36).slice(2);
sessionStorage.setItem("window", windowName);

const wait = time => new Promise(resolve => setTimeout(resolve, time));

function say(text, id = "message") {
  el(id).textContent = text;
  el(id).hidden = !text;
}

/** Number what is shown, for whoever waits for the next. */
function count() {
  document.body.dataset.shown = Number(document.body.dataset.shown || 0) + 1;
}

/** What the server answers; it is asked until it does. */
async function ask(url, options) {
  for (;;) {
    try {
      const answer = await fetch(url, options);
      const isJson = (answer.headers.get("content-type") || "").startsWith("application/json");
      const body = isJson ? await answer.json() : { reason: (await answer.text()).trim() };
      return { status: answer.status, body };
    } catch {
      say("The server does not answer. What you typed is kept here and sent when it is back: start crnn-label again.");
      await wait(RETRY);
    }
  }
}

function picture(key) {
  if (!pictures.has(key)) {
    pictures.set(key, (async () => {
      const answer = await fetch(`picture/${key}`);
      if (!answer.ok) throw new Error(await answer.text());
      const width = Number(answer.headers.get("x-source-width"));
      return { url: URL.createObjectURL(await answer.blob()), width };
    })());
    pictures.get(key).catch(() => pictures.delete(key));
    for (const [old, made] of pictures) {
      if (pictures.size <= 12) break;
      if (old === key || old === shown.line?.key) continue;
      pictures.delete(old);
      made.then(each => URL.revokeObjectURL(each.url), () => {});
    }
  }
  return pictures.get(key);
}

/** Entries of the alphabet, the longest first, and single characters elsewhere. */
function pieces(text) {
  const found = [];
  for (let i = 0; i < text.length;) {
    let piece = String.fromCodePoint(text.codePointAt(i));
    for (let n = Math.min(longest, text.length - i); n > piece.length; n--)
      if (known.has(text.slice(i, i + n))) { piece = text.slice(i, i + n); break; }
    found.push({ text: piece, start: i, end: i + piece.length, isKnown: known.has(piece) });
    i += piece.length;
  }
  return found;
}

/** The reader's unsure characters that are still as they were read: places in the text and the picture. */
function doubts(text) {
  const chars = shown.line.chars;
  const read = chars.map(char => char[0]).join("");
  let before = 0;
  while (before < Math.min(read.length, text.length) && read[before] === text[before]) before++;
  let after = 0;
  while (after < Math.min(read.length, text.length) - before && read.at(-1 - after) === text.at(-1 - after)) after++;
  const found = [];
  let start = 0;
  for (const [char, confidence, x0, x1] of chars) {
    const end = start + char.length;
    if (confidence < UNSURE) {
      if (end <= before) found.push({ start, end, confidence, x0, x1 });
      else if (start >= read.length - after) {
        const moved = text.length - read.length;
        found.push({ start: start + moved, end: end + moved, confidence, x0, x1 });
      }
    }
    start = end;
  }
  return found;
}

function mark() {
  const text = el("text").value;
  const unsure = doubts(text);
  const parts = pieces(text);
  const spans = parts.map(part => {
    const doubt = unsure.find(each => each.start < part.end && part.start < each.end);
    const span = document.createElement("span");
    span.textContent = part.text;
    if (doubt) {
      span.className = "doubt";
      span.title = `${(100 * doubt.confidence).toFixed(0)} %`;
    }
    if (!part.isKnown) span.className += " unknown";
    return span;
  });
  el("marked").replaceChildren(...spans);
  const outside = [...new Set(parts.filter(part => !part.isKnown).map(part => part.text))];
  el("unknown").textContent = outside.length
    ? `Not in the reader's alphabet: ${outside.map(describe).join(", ")}`
    : "";
  boxes(unsure);
}

function describe(char) {
  const codes = Array.from(char, each => `U+${each.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
  return `${char} (${codes.join(" ")})`;
}

function boxes(unsure) {
  const { selectionStart: from, selectionEnd: to } = el("text");
  const width = Number(el("image").dataset.width) || 1;
  const made = unsure.map(each => {
    const box = document.createElement("i");
    box.style.left = `${(100 * each.x0) / width}%`;
    box.style.width = `${(100 * Math.max(each.x1 - each.x0, 1)) / width}%`;
    if (to > from && each.start >= from && each.end <= to) box.className = "here";
    return box;
  });
  el("picture").replaceChildren(el("image"), ...made);
  el("picture").querySelector(".here")?.scrollIntoView({ block: "nearest", inline: "center" });
}

/** Select the next unsure character, or the one before; false if there is none. */
function step(back) {
  const input = el("text");
  const unsure = doubts(input.value);
  const next = back
    ? unsure.findLast(each => each.end <= input.selectionStart)
    : unsure.find(each => each.start >= (input.selectionEnd > input.selectionStart ? input.selectionEnd : input.selectionStart));
  const chosen = next || unsure.at(back ? -1 : 0);
  if (!chosen) return false;
  input.setSelectionRange(chosen.start, chosen.end);
  mark();
  return true;
}

/** As large as it is comfortable to read, and as wide as there is room. */
function fit() {
  const image = el("image");
  if (!image.naturalWidth) return;
  const room = el("strip").clientWidth;
  const ratio = image.naturalWidth / image.naturalHeight;
  const height = Math.min(110, Math.max(44, room / ratio));
  image.style.width = `${Math.round(height * ratio)}px`;
}

async function show(line) {
  shown.line = line;
  el("work").hidden = !line;
  if (!line) return;
  say("", "finished");
  count();
  const input = el("text");
  input.value = drafts.get(line.key) ?? line.text;
  const chinese = /[\u2e80-\u9fff]/.test(input.value);
  for (const id of ["marked", "text"]) el(id).lang = chinese ? "zh-Hans" : "";
  el("about").textContent = about(line);
  el("image").removeAttribute("src");
  if (!matchMedia("(pointer: coarse)").matches) { // a phone's keyboard covers half the page
    input.focus({ preventScroll: true });
    input.setSelectionRange(0, 0);
  }
  mark();
  try {
    const { url, width } = await picture(line.key);
    if (shown.line !== line) return;
    el("image").dataset.width = width;
    el("image").src = url;
    await el("image").decode().catch(() => {});
    fit();
    mark();
  } catch (error) {
    if (shown.line === line) say(`The picture cannot be shown: ${error.message}`);
  }
}

function about(line) {
  const given = { text: "answered", skip: "put off before", "not-text": "rejected: not text", unreadable: "rejected: unreadable" };
  const sure = line.confidence === null ? "" : `, confidence ${(100 * line.confidence).toFixed(1)} %`;
  return `${line.path}${sure}${given[line.kind] ? `, ${given[line.kind]}` : ""}`;
}

function tell(progress) {
  const { total, done, left, read, estimate } = progress;
  el("bar").firstElementChild.style.width = `${(100 * done) / Math.max(1, total)}%`;
  el("bar").setAttribute("aria-valuemax", total);
  el("bar").setAttribute("aria-valuenow", done);
  el("count").textContent = `${done} of ${total}`;
  const parts = [`${left} left`, `${progress.typed} answered`];
  if (progress.rejected) parts.push(`${progress.rejected} rejected`);
  if (progress.skipped) parts.push(`${progress.skipped} put off`);
  if (!progress.all_read) parts.push(`${read} read so far`);
  if (progress.failures) parts.push(`${progress.failures} cannot be read`);
  if (progress.misnamed) parts.push(`${progress.misnamed} left out: rename them, train.tsv cannot hold their names`);
  parts.push(`train.tsv ${progress.train}, dev.tsv ${progress.dev}`);
  if (times.length > 4) {
    const hours = (times.at(-1) - times[0]) / 3600000;
    parts.push(`${Math.round((times.length - 1) / hours)} an hour`);
  }
  el("counts").textContent = `${parts.join(" · ")}`;
  el("estimate").textContent = estimate ? sentence(estimate) : "";
  const outside = progress.unknown.map(([char, count]) => `${describe(char)} × ${count}`);
  el("outside").textContent = outside.length ? `Labels hold characters that the reader does not have: ${outside.join(", ")}` : "";
  const items = progress.failed.map(([path, reason]) => {
    const item = document.createElement("li");
    item.textContent = `${path}: ${reason}`;
    return item;
  });
  el("failures").hidden = !items.length;
  el("failures").firstElementChild.textContent = `Pictures that cannot be read: ${progress.failures}`;
  el("failures").lastElementChild.replaceChildren(...items);
  say(progress.problem);
}

function sentence({ accepted, seen, wrong, interval: [low, high] }) {
  const start = `${accepted} lines were accepted unseen`;
  if (!seen) return `${start}; none of them was looked at yet.`;
  const share = part => `${(100 * part).toFixed(1)} %`;
  return `${start}. Of ${seen} that were looked at, ${wrong} were wrong: ${share(wrong / seen)}, with 95 % confidence ${share(low)} to ${share(high)}.`;
}

async function take({ line, ahead, progress }) {
  tell(progress);
  await Promise.race([show(line), wait(0)]);
  if (ahead) picture(ahead).catch(() => {});
  if (line) return;
  if (progress.all_read) {
    count();
    say(`All lines are answered. train.tsv has ${progress.train} lines, dev.tsv ${progress.dev}.` +
      (progress.dev ? "" : " dev.tsv is empty because all lines hang together: they come from one page, or say the same."), "finished");
  } else {
    say(`The reader is at work: ${progress.read} of ${progress.total} lines are read.`, "finished");
    setTimeout(() => shown.line || following(), RETRY);
  }
}

async function following() {
  const { status, body } = await ask(`api/next?window=${encodeURIComponent(windowName)}`);
  if (status === 200) await take(body);
  else say(body.reason || `The server answered ${status}.`);
}

async function answer(kind) {
  const { line, busy } = shown;
  if (!line || busy) return;
  const text = kind === "text" ? el("text").value : "";
  if (kind === "text" && !text.trim()) {
    say("There is no text. If nothing is written on the line, reject it: Not text, or Unreadable.");
    return;
  }
  shown.busy = true;
  el("text").readOnly = true;
  const given = { key: line.key, version: line.version, kind, text, window: windowName };
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(given) };
  const { status, body } = await ask("api/answer", options);
  shown.busy = false;
  el("text").readOnly = false;
  if (status === 200) {
    drafts.delete(line.key);
    history.push(line.key);
    if (kind !== "skip") times.push(Date.now());
    if (times.length > 60) times.shift();
    await take(body);
  } else if (status === 409) {
    drafts.delete(line.key);
    await show(body.line);
    const typed = text ? ` You had typed: ${text}` : "";
    say(`Another window has answered this line meanwhile. This is its answer: change it, or press Enter to keep it.${typed}`);
  } else {
    el("text").focus();
    say(body.reason || `The server answered ${status}.`);
  }
}

async function back() {
  if (shown.busy || !history.length) return;
  if (shown.line && el("text").value !== shown.line.text) drafts.set(shown.line.key, el("text").value);
  const { status, body } = await ask(`api/line/${history.pop()}`);
  if (status === 200) {
    say("");
    await show(body);
  } else say(body.reason || `The server answered ${status}.`);
}

document.addEventListener("keydown", event => {
  if (event.isComposing || event.keyCode === 229) return; // Enter and Esc belong to the input method
  const onButton = event.target instanceof HTMLButtonElement;
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  let done = true;
  if (event.key === "Tab" && plain && event.target === el("text")) done = step(event.shiftKey);
  else if (event.repeat) done = event.key === "Enter"; // a key held down answers one line
  else if (event.key === "Enter" && plain && !onButton) answer("text");
  else if (event.key === "Escape" && plain) answer("skip");
  else if (event.key === "PageUp" && plain) back();
  else if (event.altKey && !event.ctrlKey && event.code === "KeyN") answer("not-text");
  else if (event.altKey && !event.ctrlKey && event.code === "KeyU") answer("unreadable");
  else done = false;
  if (done) event.preventDefault();
});
for (const kind of ["skip", "not-text", "unreadable"]) el(kind).addEventListener("click", () => answer(kind));
el("accept").addEventListener("click", () => answer("text"));
el("back").addEventListener("click", back);
el("text").addEventListener("input", mark);
addEventListener("resize", fit);
addEventListener("beforeunload", event => {
  if (shown.busy) event.preventDefault(); // an answer is not stored yet
});

(async () => {
  const { body } = await ask("api/alphabet");
  known = new Set(body.entries);
  longest = Math.max(1, ...body.entries.map(entry => entry.length));
  el("title").textContent = body.title;
  await following();
})();

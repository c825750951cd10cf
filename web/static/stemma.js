// Small comforts; every page works without them.
"use strict";

// `/` puts the cursor into the search box.
document.addEventListener("keydown", (event) => {
  const busy = event.target.closest("input, textarea, select, [contenteditable]");
  const box = document.querySelector("input[type=search]");
  if (event.key !== "/" || busy || !box || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  box.focus();
  box.select();
});

// A running job reports as it goes; when it is over, the page is fetched anew.
const job = document.querySelector("[data-events]");
if (job) {
  const show = (name, text) => {
    const field = job.querySelector(`[data-field="${name}"]`);
    if (field && text !== null && text !== undefined) field.textContent = text;
  };
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const bytes = (n) => {
    const unit = n > 0 ? Math.min(Math.floor(Math.log2(n) / 10), 4) : 0;
    const shown = n / 1024 ** unit;
    return `${shown.toFixed(unit === 0 || shown >= 100 ? 0 : shown < 10 ? 2 : 1)}\u202f${units[unit]}`;
  };
  const events = new EventSource(job.dataset.events);
  const read = (event) => {
    const { state, step, done, total, rate, eta } = JSON.parse(event.data);
    if (["succeeded", "failed", "cancelled"].includes(state) || (state && state !== job.dataset.state)) {
      events.close();
      location.reload();
      return;
    }
    const field = job.querySelector('[data-field="step"]');
    if (field && step && step !== field.textContent.trim()) {
      const line = document.createElement("li");
      const time = document.createElement("time");
      time.textContent = new Date().toISOString().slice(11, 19);
      line.append(time, " ", step);
      document.querySelector("[data-log]")?.append(line);
    }
    show("step", step);
    if (total === 0) {
      job.querySelector("progress").removeAttribute("value");
      for (const name of ["percent", "amount", "pace"]) show(name, "");
    }
    if (total > 0) {
      const percent = Math.min(100, Math.floor((done / total) * 100));
      job.querySelector("progress").value = percent;
      show("percent", `${percent}% of this step`);
      show("amount", `${bytes(done)} of ${bytes(total)}`);
      const [h, m, s] = [Math.floor(eta / 3600), Math.floor(eta / 60) % 60, eta % 60];
      const left = h ? `${h} h ${m} min` : m ? `${m} min ${s} s` : `${s} s`;
      const known = eta !== null && eta !== undefined;
      // A step whose bytes are all done is being finished; how fast that goes nobody knows.
      const told = done < total && rate !== null && rate !== undefined;
      show("pace", told ? `${bytes(rate)} a second${known ? `, ${left} left` : ""}` : "");
    }
  };
  events.onmessage = read;
  events.addEventListener("progress", read);
}

// A threshold can be slid above the matrix: pairs beyond it turn faint at once, the rest follows when the form is sent.
const threshold = document.querySelector("[data-threshold]");
const matrix = document.querySelector("[data-matrix]");
if (threshold && matrix) {
  const { least, most } = threshold.dataset;
  const far = least === "0";
  const label = document.createElement("label");
  const slider = document.createElement("input");
  const step = (most - least) / 200;
  Object.assign(slider, { type: "range", min: least, max: most, step });
  slider.value = threshold.value || (far ? most : least);
  const told = document.createElement("span");
  label.className = "slide";
  label.append("Threshold ", told, slider);
  const fade = () => {
    const limit = parseFloat(threshold.value);
    told.textContent = threshold.value;
    for (const cell of matrix.querySelectorAll("td")) {
      const value = parseFloat(cell.textContent);
      cell.classList.toggle("beyond", far ? value > limit : value < limit);
    }
  };
  slider.addEventListener("input", () => {
    threshold.value = Number(Number(slider.value).toPrecision(3));
    fade();
  });
  threshold.addEventListener("input", () => {
    slider.value = threshold.value;
    fade();
  });
  told.textContent = threshold.value;
  matrix.before(label);
}

// The search box offers names while one types: arrows choose, Enter goes there, Escape closes the list.
for (const box of document.querySelectorAll("input[data-suggest]")) {
  const list = document.getElementById(box.dataset.suggest);
  let chosen = -1;
  const options = () => [...list.querySelectorAll("[role=option]")];
  const choose = (at) => {
    chosen = at;
    options().forEach((option, place) => option.setAttribute("aria-selected", place === at));
    if (at < 0) box.removeAttribute("aria-activedescendant");
    else box.setAttribute("aria-activedescendant", options()[at].id);
  };
  const open = (shown) => {
    list.hidden = !shown;
    box.setAttribute("aria-expanded", shown);
    choose(-1);
  };
  const take = (option) => {
    location.assign(option.dataset.href);
  };
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id]]) {
    box.setAttribute(name, value);
  }
  open(false);
  list.addEventListener("htmx:afterSwap", () => open(document.activeElement === box && options().length > 0));
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) take(option);
  });
  box.addEventListener("blur", () => open(false));
  box.addEventListener("keydown", (event) => {
    const count = options().length;
    if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      open(false);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && count > 0) {
      event.preventDefault();
      const next = event.key === "ArrowDown" ? chosen + 1 : chosen < 0 ? count - 1 : chosen - 1;
      if (list.hidden) open(true);
      choose(next >= count ? -1 : next);
    } else if (event.key === "Enter" && !list.hidden && chosen >= 0) {
      event.preventDefault();
      take(options()[chosen]);
    }
  });
}

// Fields that take the name of a model offer names while one types.
for (const [at, field] of document.querySelectorAll("input[data-names]").entries()) {
  const list = document.createElement("datalist");
  list.id = `names-${at}`;
  field.setAttribute("list", list.id);
  field.after(list);
  let wait;
  field.addEventListener("input", () => {
    clearTimeout(wait);
    const text = field.value.trim();
    if (text.length < 2) return;
    wait = setTimeout(async () => {
      const answer = await fetch(`/search/suggest?search=${encodeURIComponent(text)}`);
      if (!answer.ok) return;
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelectorAll("[data-name]");
      list.replaceChildren(...[...found].map((name) => new Option("", name.dataset.name)));
    }, 150);
  });
}

// A recipe changed by hand is left alone while the form above it changes; the name of the new model goes along with the form.
const builder = document.querySelector("[data-builder]");
const output = document.querySelector("main input[name=output]");
const byHand = () => {
  const recipe = document.getElementById("yaml");
  return recipe && (recipe.value !== recipe.defaultValue || "edited" in recipe.dataset);
};
const keep = () => byHand() && !confirm("The recipe was changed by hand. Write it anew from the form?");
if (builder) {
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target } = event.detail;
    // A base is proposed where none is typed.
    if (target.id === "base") event.detail.shouldSwap = target.value === "" && target !== document.activeElement;
    if (!byHand() || !["yaml", "check"].includes(target.id)) return;
    event.detail.shouldSwap = false;
    document.querySelector("[data-by-hand]").hidden = false;
  });
  builder.addEventListener("formdata", (event) => event.formData.set("output", output.value));
  builder.addEventListener("submit", (event) => {
    if (event.submitter?.name === "rows" && keep()) event.preventDefault();
  });
}
document.querySelector("main").addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/merges/new?']");
  if (!link) return;
  if (keep()) {
    event.preventDefault();
    return;
  }
  if (!output?.value) return;
  const there = new URL(link.href);
  there.searchParams.set("output", output.value);
  link.href = there;
});

// A picture of many links is one stop for the Tab key; arrows go on to the nearest link in their direction.
const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const oneStop = (picture) => {
  const links = [...picture.querySelectorAll("a")];
  if (links.length < 12) return;
  const stop = (chosen) => links.forEach((link) => link.setAttribute("tabindex", link === chosen ? 0 : -1));
  // A model stands where its mark or box is, and a text where it is lined up: the middles of names of different length are in no
  // column.
  const place = (link) => {
    const part = link.querySelector(".mark, rect") ?? link;
    const { x, y, width, height } = part.getBoundingClientRect();
    const [begins, ends] = [link.querySelector(".more"), link.querySelector("[text-anchor=end]")];
    return [begins ? x + 9 : ends ? x + width - 9 : x + width / 2, y + height / 2];
  };
  stop(links[0]);
  // Chromium makes an SVG element that listens for focus a stop of its own, so its frame listens.
  const frame = picture.parentElement;
  if (frame.ariaLabel) frame.ariaLabel += "; arrow keys go from one to the next";
  picture.closest("figure")?.setAttribute("data-arrows", "");
  frame.addEventListener("focusin", (event) => {
    const link = event.target.closest("a");
    if (links.includes(link)) stop(link);
  });
  frame.addEventListener("keydown", (event) => {
    const way = arrows[event.key];
    const here = event.target.closest("a");
    if (!way || !links.includes(here) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [x, y] = place(here);
    let [nearest, least] = [null, Infinity];
    for (const link of links) {
      const [toX, toY] = place(link);
      const [right, down] = [toX - x, toY - y];
      const along = right * way[0] + down * way[1];
      const far = along + 3 * Math.abs(right * way[1] + down * way[0]);
      if (along > 1 && far < least) [nearest, least] = [link, far];
    }
    // Where nothing lies that way the next in the order of the list has its turn, so that none is out of reach.
    (nearest ?? links[links.indexOf(here) + way[0] + way[1]])?.focus();
  });
};
document.querySelectorAll("svg[role=group]").forEach(oneStop);

// A tree wider than its frame opens where the model asked about stands.
const intoView = (frame) => {
  const marked = frame.querySelectorAll(".focus");
  if (marked.length !== 1) return;
  const [node, room] = [marked[0].getBoundingClientRect(), frame.getBoundingClientRect()];
  if (node.right > room.right) frame.scrollLeft = node.left - room.left - Math.max(0, room.width - node.width) / 2;
  if (node.bottom > room.bottom) frame.scrollTop = node.top - room.top - room.height / 2;
};
document.querySelectorAll(".tree .scroll").forEach(intoView);

// The curves to and from the node that is pointed at or has the focus stand out.
for (const kind of ["mouseover", "focusin"]) {
  document.addEventListener(kind, ({ target }) => {
    const id = target.closest?.(".tree a")?.querySelector(".node")?.id;
    for (const curve of document.querySelectorAll(".tree .further")) {
      curve.classList.toggle("lit", id !== undefined && [curve.dataset.parent, curve.dataset.child].includes(id));
    }
  });
}

// A group opens in place, and the address and what else holds it say so; the focus goes to what is new.
const lasting = document.querySelector("a[data-view], a[data-permanent]");
const family = document.getElementById("tree");
family?.parentElement.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-opens]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const href = link.getAttribute("href");
  const links = () => [...document.querySelectorAll("#tree svg a")];
  const known = new Set(links().map((old) => old.getAttribute("href")));
  const { scrollLeft, scrollTop } = document.querySelector("#tree .scroll");
  let page;
  try {
    page = new DOMParser().parseFromString(await (await fetch(href)).text(), "text/html");
  } catch {
    // The page itself says what is wrong.
  }
  if (!page?.getElementById("tree")) {
    location.assign(href);
    return;
  }
  for (const old of document.querySelectorAll("[data-redrawn]")) {
    const fresh = page.getElementById(old.id);
    if (old.matches("details")) fresh.open = old.open;
    old.replaceWith(fresh);
  }
  if (lasting) lasting.href = page.querySelector("a[data-view]").href;
  history.replaceState(null, "", href);
  const frame = document.querySelector("#tree .scroll");
  Object.assign(frame, { scrollLeft, scrollTop });
  oneStop(frame.querySelector("svg"));
  const fresh = links().find((one) => !known.has(one.getAttribute("href")));
  (fresh ?? links()[0])?.focus({ preventScroll: fresh === undefined });
});

// The address that keeps naming the files as they are now, or this view, goes to the clipboard, where the browser lets it.
if (lasting && navigator.clipboard) {
  const copy = document.createElement("button");
  const what = lasting.hasAttribute("data-view") ? "Copy link to this view" : "Copy permanent link";
  Object.assign(copy, { type: "button", className: "quiet", textContent: what });
  const told = document.createElement("span");
  told.setAttribute("role", "status");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(lasting.href);
    told.textContent = " Copied.";
  });
  lasting.after(copy, told);
  lasting.hidden = true;
}

// What is still being made is asked for again after so many seconds.
const again = document.querySelector("[data-again]");
if (again) setTimeout(() => location.reload(), 1000 * again.dataset.again);

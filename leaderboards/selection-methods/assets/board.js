// Sorting, filtering, columns, budgets, theme, and data (items, chosen rows, texts) that is loaded when asked for. Pages are whole without it.
(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  function theme() {
    const root = document.documentElement;
    const button = document.getElementById("theme");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const tell = () => {
      button.textContent = dark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `Use the ${dark() ? "light" : "dark"} theme`);
    };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem("sftbench-theme", root.dataset.theme);
      } catch {
        // Without storage the choice holds for this page.
      }
      tell();
    });
    system.addEventListener("change", tell);
    tell();
    button.hidden = false;
  }

  // What is kept in the fragment of the address: the budget, and the order of its table. Other fragments are anchors.
  const state = () => new URLSearchParams(location.hash.slice(1));
  function keep(changed) {
    const kept = new URLSearchParams();
    for (const name of ["budget", "order", "by", "first"]) {
      const value = name in changed ? changed[name] : state().get(name);
      if (value) kept.set(name, value);
    }
    history.replaceState(null, "", `#${kept}`);
  }

  function tabs(orders) {
    const buttons = all('[role="tab"]');
    const budgetOf = (button) => button.textContent.replace(/^Budget /, "");
    const open = (chosen) => {
      for (const each of buttons) {
        const on = each === chosen;
        each.setAttribute("aria-selected", String(on));
        each.tabIndex = on ? 0 : -1;
        document.getElementById(each.getAttribute("aria-controls")).classList.toggle("on", on);
      }
    };
    const choose = (chosen, focus) => {
      open(chosen);
      keep({ budget: budgetOf(chosen), order: "", by: "", first: "", ...orders.get(chosen.getAttribute("aria-controls"))?.told() });
      if (focus) chosen.focus();
    };
    const restore = () => {
      const wanted = buttons.find((each) => budgetOf(each) === state().get("budget"));
      if (wanted) open(wanted);
      orders.get(document.querySelector(".panel.on")?.id)?.restore(state());
    };
    buttons.forEach((button, index) => {
      button.addEventListener("click", () => choose(button, false));
      button.addEventListener("keydown", (event) => {
        const last = buttons.length - 1;
        const to = { ArrowRight: index === last ? 0 : index + 1, ArrowLeft: index || last + 1, Home: 0, End: last };
        if (!(event.key in to)) return;
        event.preventDefault();
        choose(buttons[event.key === "ArrowLeft" ? (index || last + 1) - 1 : to[event.key]], true);
      });
    });
    addEventListener("hashchange", restore);
    restore();
  }

  const numberWithUnit = /^([+-]?[0-9.]+(?:e[+-]?[0-9]+)?) ?([eptgmk%sh]|min|mb)?$/;
  const units = { e: 1e18, p: 1e15, t: 1e12, g: 1e9, m: 1e6, mb: 1e6, k: 1e3, min: 60, h: 3600 };

  const keyOf = (cell) => {
    const given = cell.dataset.v;
    const text = given === undefined ? cell.textContent.trim().toLowerCase() : given;
    if (text === "" || text === "–") return null;
    const [whole, digits, unit] = text.match(numberWithUnit) ?? [];
    if (whole !== undefined) return Number(digits) * (units[unit] ?? 1);
    const number = Number(text);
    return Number.isNaN(number) ? text : number;
  };

  const order = new Intl.Collator("en", { numeric: true });
  const compare = (first, second) =>
    typeof first === "number" && typeof second === "number" ? first - second : order.compare(first, second);

  const narrow = matchMedia("(max-width: 46rem)");

  // The table with all its cells. Those of hidden columns are kept out of the page, which makes sorting quick.
  function tableOfBoard(table) {
    const body = table.tBodies[0];
    const lines = [table.tHead.rows[0], ...body.rows].map((row) => ({ row, cells: [...row.cells] }));
    const [head, ...rows] = lines;
    const keys = new Map();
    const shown = new Set(head.cells.keys());
    const box = table.closest(".box");
    let lead = null;
    // On a phone the column that sorts stands beside the method, since there is room for no more than two or three.
    const draw = () => {
      const first = narrow.matches && shown.has(lead) ? [0, lead] : [0];
      for (const { row, cells } of lines) {
        const rest = cells.filter((_, index) => shown.has(index) && !first.includes(index));
        row.replaceChildren(...first.map((index) => cells[index]), ...rest);
      }
    };
    narrow.addEventListener("change", draw);
    const keysOf = (column) => {
      if (!keys.has(column)) keys.set(column, new Map(rows.map(({ row, cells }) => [row, keyOf(cells[column])])));
      return keys.get(column);
    };
    return {
      rows: rows.map(({ row }) => row),
      // What the first row that has something is sorted by.
      firstKey: (heading) => [...keysOf(head.cells.indexOf(heading)).values()].find((each) => each !== null),
      show(columns, on) {
        for (const column of columns) {
          if (on) shown.add(column);
          else shown.delete(column);
        }
        draw();
      },
      headings: head.cells,
      // The heading of the column that sorts.
      sorted: () => head.cells.find((each) => each.hasAttribute("aria-sort")),
      // As a first click on a heading that nothing is sorted by.
      sortFirst(column) {
        head.cells[column].removeAttribute("aria-sort");
        this.sortBy(head.cells[column]);
      },
      // Rows without a value stand last in either direction; equal ones stay as they were.
      sortBy(heading) {
        const column = head.cells.indexOf(heading);
        const before = heading.getAttribute("aria-sort");
        const up = before ? before === "descending" : heading.dataset.first === "up";
        const of = keysOf(column);
        const sorted = [...body.rows].sort((one, other) => {
          const [first, second] = [of.get(one), of.get(other)];
          if (first === null || second === null) return (first === null) - (second === null);
          return up ? compare(first, second) : compare(second, first);
        });
        body.replaceChildren(...sorted);
        for (const each of head.cells) each.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        lead = column === 0 || heading.classList.contains("rank") ? null : column;
        if (!narrow.matches) return;
        const focused = document.activeElement;
        draw();
        box.scrollLeft = 0;
        if (heading.contains(focused)) focused.focus({ preventScroll: true });
      },
    };
  }

  function board(panel) {
    const table = panel.querySelector("table.board");
    const tools = panel.querySelector(".tools");
    const shown = tools.querySelector(".shown");
    const find = tools.querySelector(".find");
    const filled = tableOfBoard(table);
    const rows = filled.rows.map((row) => [row, row.querySelector("th").textContent.toLowerCase()]);
    const filter = () => {
      const wanted = find.value.trim().toLowerCase();
      for (const box of all(".kind", tools)) table.classList.toggle(`no-${box.value}`, !box.checked);
      let visible = 0;
      for (const [row, text] of rows) {
        row.hidden = wanted !== "" && !text.includes(wanted);
        if (!row.hidden && !table.classList.contains(`no-${row.classList[0]}`)) visible += 1;
      }
      shown.textContent = `${visible} of ${rows.length} rows`;
    };
    find.addEventListener("input", filter);
    for (const box of all(".kind", tools)) box.addEventListener("change", filter);
    const boxes = all(".column", tools);
    const orders = all(".order", tools);
    const by = table.querySelector(".by");
    const atFirst = by.textContent;
    const nameOf = (heading) => {
      const name = heading.textContent.replace(/ [↑↓]$/, "").trim();
      return heading.classList.contains("rank") ? "place" : heading.classList.contains("matched") ? `difference ${name}` : name;
    };
    const told = () => {
      const heading = filled.sorted();
      const pressed = orders.find((each) => each.getAttribute("aria-pressed") === "true");
      const first = heading.getAttribute("aria-sort") === "ascending" ? "up" : "down";
      return pressed ? { order: pressed.textContent, by: "", first: "" } : { order: "", by: nameOf(heading), first };
    };
    // The caption and the buttons say what the table is sorted by.
    const tell = () => {
      const heading = filled.sorted();
      const up = heading.getAttribute("aria-sort") === "ascending";
      const isFirst = heading.dataset.first === (up ? "up" : "down");
      const isText = typeof filled.firstKey(heading) === "string";
      const way = isText ? (up ? "from A to Z" : "from Z to A") : `${up ? "smallest" : "largest"} first`;
      by.textContent = heading.classList.contains("rank") && up ? atFirst : `${nameOf(heading)}, ${way}`;
      const checked = boxes.filter((box) => box.checked).map((box) => box.value);
      for (const each of orders) {
        const wanted = each.dataset.show.split(" ");
        const isShown = checked.every((value) => wanted.includes(value)) && boxes.every((box) => box.checked || !wanted.includes(box.value));
        each.setAttribute("aria-pressed", String(isFirst && isShown && filled.headings[each.dataset.sort - 1] === heading));
      }
    };
    const changed = () => {
      tell();
      keep(told());
    };
    const arrange = (order) => {
      const wanted = order.dataset.show.split(" ");
      for (const box of boxes) box.checked = wanted.includes(box.value);
      for (const on of [true, false]) {
        filled.show(boxes.filter((box) => box.checked === on).map((box) => box.value - 1), on);
      }
      filled.sortFirst(order.dataset.sort - 1);
    };
    for (const box of boxes) {
      box.addEventListener("change", () => {
        filled.show([box.value - 1], box.checked);
        changed();
      });
    }
    for (const button of all("thead button", table)) {
      button.addEventListener("click", () => {
        filled.sortBy(button.closest("th"));
        changed();
      });
    }
    for (const order of orders) {
      order.addEventListener("click", () => {
        arrange(order);
        changed();
      });
    }
    filled.show(boxes.filter((box) => !box.checked).map((box) => box.value - 1), false);
    table.classList.add("picked");
    tell();
    const pick = tools.querySelector(".pick");
    const picks = pick.querySelector(".picks");
    // The box of columns stands below its button, moved so far that all of it is in the window.
    const place = () => {
      if (!pick.open) return;
      picks.style.left = "0";
      const { left, right } = picks.getBoundingClientRect();
      const over = Math.max(0, right + 8 - document.documentElement.clientWidth);
      picks.style.left = `${-Math.min(over, left - 8)}px`;
    };
    pick.addEventListener("toggle", place);
    addEventListener("resize", place);
    pick.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !pick.open) return;
      pick.open = false;
      pick.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => {
      if (pick.open && !pick.contains(event.target)) pick.open = false;
    });
    tools.hidden = false;
    filter();
    // An order that an address tells of; one that this table does not have is none.
    const restore = (kept) => {
      const order = orders.find((each) => each.textContent === kept.get("order"));
      const heading = filled.headings.find((each) => each.dataset.first && nameOf(each) === kept.get("by"));
      if (order) arrange(order);
      else if (heading) {
        filled.sortFirst(filled.headings.indexOf(heading));
        if (kept.get("first") && kept.get("first") !== heading.dataset.first) filled.sortBy(heading);
      } else return;
      tell();
    };
    return { told, restore };
  }

  const make = (name, text, about = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(about)) made.setAttribute(key, value);
    return made;
  };

  const load = (path) =>
    new Promise((done, failed) => {
      const script = make("script", undefined, { src: path });
      script.onload = done;
      script.onerror = () => failed(new Error(path));
      document.head.append(script);
    });

  // What a script hands to a function of the page. One script at a time, since all of a kind call the same function.
  const known = new Map();
  let queue = Promise.resolve();
  function dataOf(path, receiver) {
    if (!known.has(path)) {
      const now = queue.then(async () => {
        let data = [];
        window[receiver] = (given) => (data = given);
        await load(path);
        return data;
      });
      queue = now.catch(() => known.delete(path));
      known.set(path, now);
    }
    return known.get(path);
  }

  const letters = { 0: 0, h: 0.5, 1: 1, "-": null };
  const unpacked = (of) =>
    typeof of === "string" ? [...of].map((each) => letters[each]) : of.map((each) => (each === null ? null : each / 1000));

  // "3,7-9" as pairs of the first and last of each stretch of neighbours.
  const stretchesOf = (text) =>
    text === "" ? [] : text.split(",").map((each) => each.split("-").map(Number)).map(([from, to = from]) => [from, to]);

  // A mark for each stretch of chosen rows, on a line as long as the pool.
  function strip(stretches, pool) {
    const space = "http://www.w3.org/2000/svg";
    const drawn = document.createElementNS(space, "svg");
    const about = { viewBox: `0 0 ${pool} 10`, preserveAspectRatio: "none", class: "strip", "aria-hidden": "true" };
    for (const [key, value] of Object.entries(about)) drawn.setAttribute(key, value);
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", stretches.map(([from, to]) => `M${from} 0h${to - from + 1}v10h-${to - from + 1}z`).join(""));
    drawn.append(path);
    return drawn;
  }

  function tableOf(cells, metric, lists, name) {
    const having = cells.flatMap((cell) =>
      cell.values.filter((each) => each.metric === metric).map((each) => [cell.seed, lists[each.items], unpacked(each.of)])
    );
    const byItem = new Map();
    for (const [seed, ids, values] of having) {
      ids.forEach((id, index) => byItem.set(id, { ...byItem.get(id), [seed]: values[index] }));
    }
    const table = make("table");
    table.append(make("caption", `${metric}, ${byItem.size} items`));
    const head = make("tr");
    head.append(make("th", "item", { scope: "col" }));
    for (const [seed] of having) head.append(make("th", `seed ${seed}`, { scope: "col", class: "number" }));
    table.append(make("thead"));
    table.tHead.append(head);
    const body = make("tbody");
    for (const [id, values] of byItem) {
      const row = make("tr");
      row.append(make("th", id, { scope: "row" }));
      for (const [seed] of having) {
        const value = values[seed];
        row.append(make("td", value === null || value === undefined ? "–" : String(value), { class: "number" }));
      }
      body.append(row);
    }
    table.append(body);
    const box = make("div", undefined, { class: "box tall", role: "region", "aria-label": `${metric}, items of ${name} at ${cells[0].budget}`, tabindex: "0" });
    box.append(table);
    const details = make("details");
    details.append(make("summary", metric), box);
    return details;
  }

  function lazy(section) {
    const button = section.querySelector(".load");
    const place = section.querySelector(".loaded");
    // One line is read out, and not all that was loaded.
    const told = section.querySelector(".told");
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      let lists;
      let cells;
      try {
        lists = await dataOf(section.dataset.items, "sftbenchItems");
        cells = await dataOf(section.dataset.row, "sftbenchRow");
      } catch {
        told.textContent = "The data does not lie beside this page; the records hold the same.";
        button.disabled = false;
        return;
      }
      button.hidden = true;
      told.textContent = `Loaded from ${cells.length} ${cells.length === 1 ? "record" : "records"}.`;
      for (const budget of new Set(cells.map((cell) => cell.budget))) {
        const here = cells.filter((cell) => cell.budget === budget);
        place.append(make("h3", `Budget ${budget}`));
        for (const cell of here.filter((each) => each.rows !== undefined)) {
          const figure = make("figure", undefined, { class: "chosen" });
          figure.append(strip(stretchesOf(cell.rows), cell.pool), make("figcaption", `Seed ${cell.seed}: where the chosen rows stand in the pool of ${cell.pool}`));
          const positions = make("details");
          positions.append(make("summary", "Their positions"), make("pre", cell.rows));
          figure.append(positions);
          place.append(figure);
        }
        for (const metric of new Set(here.flatMap((cell) => cell.values.map((each) => each.metric)))) {
          place.append(tableOf(here, metric, lists, button.querySelector("bdi").textContent));
        }
      }
    });
  }

  const counted = (count, name) => `${count.toLocaleString("en")} ${name}${count === 1 ? "" : "s"}`;
  const joined = (positions) => {
    const stretches = [];
    for (const each of positions) {
      const last = stretches.at(-1);
      if (last && last[1] === each - 1) last[1] = each;
      else stretches.push([each, each]);
    }
    return stretches;
  };
  const mostWritten = 3000;

  // Positions under a heading, as far as one can read them.
  function listOf(title, positions) {
    const section = make("section");
    section.append(make("h3", `${title}: ${positions.length.toLocaleString("en")}`));
    const written = positions.slice(0, mostWritten).join(", ");
    const rest = positions.length > mostWritten ? ` and ${positions.length - mostWritten} more` : "";
    if (positions.length) section.append(make("p", written + rest, { class: "places" }));
    return section;
  }

  // "0-99, 250" as a test of positions; null for anything else.
  function within(text) {
    const parts = text.split(",").map((each) => each.trim()).filter((each) => each !== "");
    const ranges = parts.map((each) => each.match(/^(\d{1,12})(?:\s*[-–]\s*(\d{1,12}))?$/));
    if (ranges.some((each) => each === null)) return null;
    const bounds = ranges.map(([, from, to = from]) => [Number(from), Number(to)]);
    return (position) => bounds.length === 0 || bounds.some(([from, to]) => from <= position && position <= to);
  }

  // Which rows of the pool a selection has, alone or over another.
  function browser(group) {
    const part = (name) => group.querySelector(`.${name}`);
    const [first, second, budget, seed] = ["first", "second", "budget", "seed"].map(part);
    const told = part("told");
    const place = part("loaded");
    second.append(...[...first.children].map((each) => each.cloneNode(true)));
    const selectionOf = async (list) => {
      const label = list.selectedOptions[0].textContent;
      const cells = await dataOf(`data/${list.value}.js`, "sftbenchRow");
      const cell = cells.find((each) => each.budget === budget.value && String(each.seed) === seed.value);
      return { label, pool: cell?.pool, rows: cell?.rows === undefined ? null : stretchesOf(cell.rows) };
    };
    let asked = 0;
    const look = async () => {
      const mine = (asked += 1);
      const test = within(part("within").value);
      if (test === null) {
        told.textContent = "Positions are written as 0-99, 250.";
        return;
      }
      told.textContent = "Loading …";
      let found;
      try {
        found = await Promise.all([first, second].filter((each) => each.value !== "").map(selectionOf));
      } catch {
        told.textContent = "The data does not lie beside this page; the records hold the same.";
        return;
      }
      if (mine !== asked) return;
      place.replaceChildren();
      const lacking = found.find((each) => each.rows === null);
      if (lacking) {
        told.textContent = `It is not known which rows ${lacking.label} took at ${budget.value} with seed ${seed.value}.`;
        return;
      }
      const all = found.map(({ rows }) =>
        rows.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index)).filter(test)
      );
      const figure = make("figure", undefined, { class: "chosen" });
      found.forEach(({ label, pool }, index) => {
        figure.append(make("p", label, { class: "quiet" }), strip(joined(all[index]), pool));
      });
      const where = part("within").value.trim() ? ", of the positions asked for" : "";
      if (found.length === 1) {
        told.textContent = `${counted(all[0].length, "row")} of ${found[0].label}${where}.`;
        place.append(figure, listOf("Positions", all[0]));
      } else {
        const [mineToo, theirs] = all.map((each) => new Set(each));
        const both = all[0].filter((each) => theirs.has(each));
        const either = all[0].length + all[1].length - both.length;
        const share = either ? `, which is ${Math.round((100 * both.length) / either)} % of the ${counted(either, "row")} in either` : "";
        const chance = where ? "" : ` (by chance about ${((all[0].length * all[1].length) / found[0].pool).toFixed(1)} rows would be in both)`;
        told.textContent = `${counted(both.length, "row")} in both of ${all[0].length} and ${all[1].length}${chance}${share}${where}.`;
        figure.append(make("p", "in both", { class: "quiet" }), strip(joined(both), found[0].pool));
        place.append(
          figure,
          listOf("In both", both),
          listOf(`Only in ${found[0].label}`, all[0].filter((each) => !theirs.has(each))),
          listOf(`Only in ${found[1].label}`, all[1].filter((each) => !mineToo.has(each)))
        );
      }
      figure.append(make("figcaption", `Where they stand in the pool of ${counted(found[0].pool, "row")}, at ${budget.value} with seed ${seed.value}`));
    };
    part("look").addEventListener("click", look);
    for (const each of [first, second, budget, seed]) each.addEventListener("change", () => asked && look());
    part("within").addEventListener("input", () => asked && look());
    part("within").addEventListener("keydown", (event) => event.key === "Enter" && look());
  }

  // The pages of comparisons with texts that lie on this machine; a site that was passed on has none, and says nothing.
  async function listed(section) {
    const told = section.querySelector(".told");
    let pages;
    try {
      pages = await dataOf(section.dataset.list, "sftbenchComparisons");
    } catch {
      section.hidden = true;
      return;
    }
    told.textContent = `${counted(pages.length, "page")} with texts of the pool.`;
    for (const { file, title } of pages) {
      const line = make("li");
      line.append(make("a", title, { href: `compare/${file}` }));
      section.querySelector(".loaded").append(line);
    }
  }

  const sides = { a: "A", b: "B" };
  const purposes = ["masked, not trained on", "trained by cross-entropy", "trained by distillation"];

  // Texts of rows: every one is put in as text.
  function exampleOf(row) {
    const article = make("article");
    const planted = row.planted ? `, planted: ${row.planted}` : "";
    article.append(make("h4", `${row.id}, rank ${row.rank}${planted}`), make("p", row.instruction, { class: "asked" }));
    article.append(make("p", row.response, { class: "answered" }));
    return article;
  }

  function pairOf(pair) {
    const article = make("article");
    article.append(make("h4", `Cosine ${pair.cosine.toFixed(2)}: ${pair.item} and ${pair.row}`));
    article.append(make("p", `Held out: ${pair.item_text}`, { class: "asked" }), make("p", `Chosen: ${pair.row_text}`, { class: "answered" }));
    return article;
  }

  function tokensOf(row) {
    const article = make("article");
    const line = make("p", undefined, { class: "tokens" });
    for (const [text, label] of row.pieces) {
      line.append(label === null ? text : make("span", text, { class: `t${label}`, title: purposes[label] }));
    }
    article.append(make("h4", row.id), line);
    return article;
  }

  function texts(section) {
    const button = section.querySelector(".load");
    const told = section.querySelector(".told");
    const place = section.querySelector(".loaded");
    const marks = document.querySelector(".marks");
    marks?.addEventListener("change", () => {
      for (const each of all(".tokens")) each.classList.toggle("marked", marks.checked);
    });
    button.hidden = false;
    button.addEventListener("click", async () => {
      let found;
      try {
        found = await dataOf(section.dataset.texts, "sftbenchTexts");
      } catch {
        told.textContent = "The texts do not lie beside this page.";
        return;
      }
      button.hidden = true;
      told.textContent = "Loaded.";
      const parts = [
        ["tokens", "What tokens were for, ", tokensOf],
        ["examples", "Only in ", exampleOf],
        ["nearest", "Nearest to held-out prompts, ", pairOf],
      ];
      for (const [name, title, drawn] of parts) {
        for (const [side, letter] of Object.entries(sides)) {
          if (found[name][side].length) place.append(make("h3", title + letter), ...found[name][side].map(drawn));
        }
      }
      for (const each of all(".tokens", place)) each.classList.toggle("marked", Boolean(marks?.checked));
    });
  }

  theme();
  tabs(new Map(all(".panel:has(table.board)").map((panel) => [panel.id, board(panel)])));
  all(".lazy").forEach(lazy);
  all(".browser").forEach(browser);
  all(".list").forEach(listed);
  all(".texts").forEach(texts);
})();

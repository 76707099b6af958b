"use strict";
// Tables: sorted by their heads, filtered by what their columns of names hold and by text.
(() => {
  const NOTHING = ["n/a", "–"], FEW = 8, MOST_CHOICES = 24;
  const make = (name, fields = {}, ...inside) => {
    const element = Object.assign(document.createElement(name), fields);
    element.append(...inside);
    return element;
  };
  const text = (cell) => cell.textContent.trim();
  const number = (words) => parseFloat(words.replace(/^[<>]/, "").replace(/,(?=\d{3})/g, "").replace("\u2212", "-"));

  function compare(one, other, up) {
    const empty = [one, other].map((words) => NOTHING.includes(words) || words === "");
    if (empty[0] !== empty[1]) return empty[0] ? 1 : -1; // what is not there comes last, either way
    const [a, b] = [number(one), number(other)];
    const order = isNaN(a) || isNaN(b) ? one.localeCompare(other, "en", { numeric: true }) : a - b;
    return up ? order : -order;
  }

  function makeSortable(table) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        body.append(...[...body.rows].sort((a, b) => compare(text(a.cells[column]), text(b.cells[column]), up)));
      });
    });
  }

  function choices(rows, column) {
    const found = [...new Set(rows.map((row) => text(row.cells[column])))];
    return found.sort((a, b) => compare(a, b, true));
  }

  function makeFilters(table, name) {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < FEW) return;
    const heads = [...table.tHead.rows[0].cells], first = JSON.parse(table.dataset.first || "{}");
    const count = make("span", { className: "count" });
    count.setAttribute("role", "status");
    const selects = [];
    heads.forEach((head, column) => {
      const held = head.classList.contains("name") ? choices(rows, column) : [];
      if (held.length < 2 || held.length > MOST_CHOICES || held.length > rows.length / 2) return;
      const select = make("select", {}, make("option", { value: "", textContent: "all" }));
      select.append(...held.map((value) => make("option", { value: "=" + value, textContent: value })));
      if (held.includes(first[text(head)])) select.value = "=" + first[text(head)];
      selects.push([column, select, text(head)]);
    });
    const search = make("input", { type: "search", placeholder: "filter" });
    search.setAttribute("aria-label", `filter the rows of ${name} by text`);
    const reset = make("button", { type: "button", textContent: "show all" });
    function show() {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const whole = row.textContent.toLowerCase();
        const fits = words.every((word) => whole.includes(word)) &&
          selects.every(([column, select]) => !select.value || "=" + text(row.cells[column]) === select.value);
        row.hidden = !fits;
        shown += fits;
      }
      count.textContent = `${shown} of ${rows.length} rows`;
      reset.hidden = shown === rows.length;
    }
    reset.addEventListener("click", () => {
      search.value = "";
      selects.forEach(([, select]) => { select.value = ""; });
      show();
    });
    search.addEventListener("input", show);
    selects.forEach(([, select]) => select.addEventListener("change", show));
    const bar = make("div", { className: "filters" });
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", `filters of ${name}`);
    bar.append(...selects.map(([, select, label]) => make("label", {}, label, select)), search, reset, count);
    table.closest(".wide").before(bar);
    show();
  }

  document.querySelectorAll(".wide > table").forEach((table) => {
    makeFilters(table, table.closest(".wide").getAttribute("aria-label") || "the table");
    makeSortable(table);
  });
  document.body.dataset.frames = 1; // how often the page has drawn
  // A print shows what is folded away.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));
})();

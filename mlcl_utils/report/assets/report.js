"use strict";

// Tables sort by a click on a head; those of more than a few rows have a search field, and a choice for every column
// of words, or of a few numbers, that has between two and thirty values.
const FEW_ROWS = 8;
const PAGE_ROWS = 25;
const MOST_CHOICES = 30;
const FEW_NUMBERS = 10;

// Numbers as they are written in CSV files, 1e-05 too; missing ones come last whichever the direction.
DataTable.type("number", {
  className: "dt-type-numeric",
  order: {
    pre: (text) => (text === "" ? NaN : Number(text)),
    asc: (one, other) => compared(one, other, one - other),
    desc: (one, other) => compared(one, other, other - one),
  },
});

function compared(one, other, difference) {
  return Number.isNaN(difference) ? Number.isNaN(one) - Number.isNaN(other) : difference;
}

function enhance(element) {
  const choices = document.createElement("div");
  choices.className = "choices";
  const source = element.dataset.source && JSON.parse(document.getElementById(element.dataset.source).textContent);
  const count = source ? source.rows.length : element.tBodies[0].rows.length;
  const options = {
    autoWidth: false,
    order: [],
    paging: count > PAGE_ROWS,
    pageLength: PAGE_ROWS,
    lengthMenu: [PAGE_ROWS, 100, -1],
    layout: {
      topStart: () => choices,
      topEnd: count > FEW_ROWS ? "search" : null,
      bottomStart: count > FEW_ROWS ? "info" : null,
      bottomEnd: count > PAGE_ROWS ? ["pageLength", "paging"] : null,
    },
    language: {
      search: "",
      searchPlaceholder: "Search",
      lengthMenu: "_MENU_ a page",
      lengthLabels: { "-1": "all" },
      info: "_START_–_END_ of _TOTAL_",
      infoEmpty: "none",
      infoFiltered: "(_MAX_ in all)",
      zeroRecords: "No row fits.",
    },
  };
  if (source) {
    options.data = source.rows;
    options.columns = source.columns.map((title, at) => ({
      title: DataTable.util.escapeHtml(title),
      visible: at < source.shown,
      type: source.numeric[at] ? "number" : "string",
      className: source.numeric[at] ? "" : "words",
      render: DataTable.render.text(),
    }));
  } else {
    options.columnDefs = [{ targets: "number", type: "number" }, { targets: "words", type: "html" }];
  }
  const table = new DataTable(element, options);
  if (count > FEW_ROWS) addChoices(choices, table, Boolean(source));
  if (source) addColumns(table);
}

function addChoices(bar, table, fromData) {
  table.columns().every(function () {
    if (!this.visible() || this.header().dataset.choices === "none") return;
    // Cells of a table from data exist only once they have been seen.
    const texts = fromData ? this.data().toArray() : this.nodes().toArray().map(main);
    const values = [...new Set(texts)].filter((text) => text);
    const most = this.header().classList.contains("words") ? MOST_CHOICES : FEW_NUMBERS;
    if (values.length < 2 || values.length > most || values.length === texts.length) return;
    values.sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.append(new Option("all", ""), ...values.map((value) => new Option(value)));
    select.addEventListener("change", () => {
      const at = values.indexOf(select.value);
      const chosen = select.value;
      this.search(at < 0 ? "" : (_text, _row, index) => texts[index] === chosen).draw();
    });
    const name = this.header().textContent.trim();
    select.setAttribute("aria-label", name);
    label.append(name, select);
    bar.append(label);
  });
}

// The text of a cell, or of the part of it that stands for the rest.
function main(cell) {
  return (cell.querySelector("strong, .verdict") ?? cell.firstChild ?? cell).textContent.trim();
}

function addColumns(table) {
  const place = document.querySelector("details.columns");
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "Search";
  search.setAttribute("aria-label", "Search columns");
  const list = document.createElement("div");
  list.className = "list";
  table.columns().every(function () {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = this.visible();
    box.addEventListener("change", () => this.visible(box.checked));
    label.append(box, this.header().textContent);
    list.append(label);
  });
  search.addEventListener("input", () => {
    for (const label of list.children) label.hidden = !label.textContent.includes(search.value.trim());
  });
  place.append(search, list);
}

// A figure opens over the page, as large as the window allows; without this script its link does.
function enlarge(link) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const dialog = document.createElement("dialog");
    const image = link.querySelector("img").cloneNode();
    image.loading = "eager";
    dialog.className = "figure";
    dialog.append(image);
    dialog.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  });
}

for (const element of document.querySelectorAll("table.data")) {
  const folded = element.closest("details");
  if (folded) folded.addEventListener("toggle", () => enhance(element), { once: true });
  else enhance(element);
}
document.querySelectorAll("a.enlarge").forEach(enlarge);

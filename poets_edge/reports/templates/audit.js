// Collect the choices; a photo that is shown twice has one choice.
const chosen = new Map();
const bar = document.getElementById("bar");

function choose(photo, value, label) {
  if (value === "keep") chosen.delete(photo); else chosen.set(photo, value === "move" ? label : null);
  for (const choice of document.querySelectorAll(".choice")) {
    if (choice.dataset.photo !== photo) continue;
    const current = chosen.has(photo) ? (chosen.get(photo) === null ? "out" : "move") : "keep";
    for (const input of choice.querySelectorAll("input")) input.checked = input.value === current;
    const select = choice.querySelector("select");
    if (select && current === "move") select.value = chosen.get(photo);
    choice.closest("figure").classList.toggle("out", current === "out");
    choice.closest("figure").classList.toggle("moved", current === "move");
  }
  const moved = [...chosen.values()].filter(label => label !== null).length;
  document.getElementById("count").textContent = `${chosen.size - moved} to exclude, ${moved} to another class`;
  bar.classList.toggle("shown", chosen.size > 0);
}

addEventListener("change", event => {
  const choice = event.target.closest(".choice");
  if (!choice) return;
  const select = choice.querySelector("select");
  const input = event.target;
  const value = input === select ? "move" : input.type === "checkbox" && !input.checked ? "keep" : input.value;
  choose(choice.dataset.photo, value, select ? select.value : null);
});

document.getElementById("none").addEventListener("click", () => [...chosen.keys()].forEach(photo => choose(photo, "keep")));

document.getElementById("save").addEventListener("click", () => {
  const sorted = [...chosen].sort((a, b) => (a[0] < b[0] ? -1 : 1));
  const list = {
    format: "poets_edge-exclude-1",
    leave_out: sorted.filter(([, label]) => label === null).map(([photo]) => photo),
    belongs_to: Object.fromEntries(sorted.filter(([, label]) => label !== null)),
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(list, null, 1) + "\n"], { type: "application/json" }));
  link.download = "exclude.json";
  link.click();
  URL.revokeObjectURL(link.href);
});

// Show the figures of the model under the pointer.
const tip = document.getElementById("tip");
for (const kind of ["pointerover", "focusin"]) document.querySelector(".chart.live").addEventListener(kind, event => {
  const dot = event.target.closest("[data-tip]");
  if (dot) tip.textContent = dot.dataset.tip;
});

// Show a photo large when it is clicked.
addEventListener("click", event => {
  const large = document.getElementById("large");
  if (event.target === large || large.contains(event.target)) { large.close(); return; }
  if (event.target.matches && event.target.matches("figure img")) {
    large.querySelector("img").src = event.target.src;
    large.querySelector("p").textContent = event.target.alt;
    large.showModal();
  }
});

'use strict';
// Swagger UI opens every link of its texts in a new tab. Steps of the tour stay in this one.
document.addEventListener('click', event => {
  if (event.target.id === 'logout') logOut();
  const link = event.target.closest?.('#ui .info a[href^="#/"]');
  const block = link && document.getElementById(`operations-${link.hash.slice(2).replaceAll('/', '-')}`);
  if (!block) return;
  event.preventDefault();
  const summary = block.querySelector('.opblock-summary-control');
  if (summary.getAttribute('aria-expanded') === 'false') summary.click();
  summary.focus({ preventScroll: true });
  block.scrollIntoView();
});

async function logOut() {
  const answer = await fetch('/logout', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}',
  });
  if (!answer.ok) return;
  // Where Swagger UI keeps the tokens that its Authorize button was given.
  localStorage.removeItem('authorized');
  location.replace('/login');
}

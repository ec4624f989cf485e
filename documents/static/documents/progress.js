// Keeps what is told of documents that are being read up to date, until all of them are at rest.

const PAUSE = 1500
const LONGEST_PAUSE = 30_000
// As many as the server answers for at once.
const AT_ONCE = 200

let pause = PAUSE
let timer = null

/** Begins to ask, where anything on the page is being read. */
export function follow() {
  if (timer === null && document.querySelector('[data-reading]')) {
    timer = setTimeout(ask, pause)
  }
}

async function ask() {
  const shown = [...document.querySelectorAll('[data-reading]')].slice(0, AT_ONCE)
  if (shown.length && !document.hidden) {
    const query = new URLSearchParams(shown.map(one => ['id', one.dataset.reading]))
    try {
      const response = await fetch(`${shown[0].dataset.address}?${query}`, {redirect: 'error'})
      if (response.status === 403) return  // signed out, or no more rights: a reload tells
      if (!response.ok) throw new Error(response.statusText)
      const {documents} = await response.json()
      shown.forEach(one => show(one, documents[one.dataset.reading]))
      pause = PAUSE
    } catch {
      pause = Math.min(LONGEST_PAUSE, pause * 2)
    }
  }
  timer = null
  follow()
}

function show(status, seen) {
  const id = status.dataset.reading
  if (!seen) {
    tell(status, 'Deleted', '')
    delete status.dataset.reading
    return
  }
  status.className = `reading is-${seen.status}`
  tell(status, seen.label, seen.reason)
  document.querySelectorAll(`[data-reading-pages="${id}"]`).forEach(pages => {
    const bar = pages.querySelector('progress')
    bar.max = seen.total || 1
    bar.value = seen.done
    bar.hidden = seen.finished
    pages.querySelector('span').textContent = seen.pages
  })
  if (seen.finished) {
    delete status.dataset.reading
    // The page of one document shows more of it now.
    if (document.body.classList.contains('change-form') && status.closest('.form-row')) {
      location.reload()
    }
  }
}

function tell(status, label, reason) {
  status.querySelector('.label').textContent = label
  status.querySelector('.reason').textContent = reason
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) follow()
})
follow()

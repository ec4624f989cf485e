// Sends the files one by one, so that each is told of by itself and only its own size counts.

import {follow} from './progress.js'

const form = document.getElementById('upload')
const section = document.querySelector('.outcomes')
const rows = section.querySelector('tbody')
const button = form.querySelector('input[type=submit]')

form.addEventListener('submit', async event => {
  event.preventDefault()
  const {files} = form.elements
  form.querySelectorAll('.errorlist').forEach(one => one.remove())
  button.disabled = true
  section.hidden = false
  for (const file of [...files.files]) {
    const row = addRow(file)
    if (!await send(file, row)) break  // the next would be refused for the same
  }
  section.hidden = !rows.children.length
  button.disabled = false
  files.value = ''
})

/** False where the form itself was refused, of which it then tells. */
async function send(file, row) {
  let status, answer
  try {
    [status, answer] = await post(file, row)
  } catch {
    tell(row, {text: 'The connection broke: upload it again.'})
    return true
  }
  if (answer?.errors && !answer.outcomes && status === 400 && !answer.detail) {
    row.remove()
    Object.entries(answer.errors).forEach(([name, texts]) => complain(name, texts))
    return false
  }
  const refused = {text: answer?.detail ?? `Refused (${status}): sign in again, then upload it again.`}
  tell(row, answer?.outcomes?.[0] ?? refused)
  return true
}

/** Not `fetch`, which does not tell how much is sent. */
function post(file, row) {
  const data = new FormData(form)
  data.delete('files')
  data.append('files', file)
  const bar = row.querySelector('progress')
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('POST', location.pathname)
    request.setRequestHeader('Accept', 'application/json')
    request.upload.addEventListener('progress', ({loaded, total}) => { bar.value = loaded / total })
    request.addEventListener('load', () => resolve([request.status, parsed(request.responseText)]))
    request.addEventListener('error', reject)
    request.send(data)
  })
}

function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function addRow(file) {
  const row = rows.insertRow()
  const name = document.createElement('th')
  name.scope = 'row'
  name.textContent = file.name
  row.append(name)
  const bar = document.createElement('progress')
  bar.max = 1
  bar.value = 0
  row.insertCell().append(bar)
  row.insertCell()
  return row
}

function tell(row, {text, id, address}) {
  const [name, outcome, reading] = row.cells
  row.className = id ? 'kept' : 'refused'
  outcome.textContent = text
  if (!id) return
  const link = document.createElement('a')
  link.href = address
  link.textContent = name.textContent
  name.replaceChildren(link)
  const status = document.createElement('div')
  status.className = 'reading'
  status.dataset.reading = id
  status.dataset.address = form.dataset.progress
  for (const part of ['label', 'reason']) {
    const span = document.createElement('span')
    span.className = part
    status.append(span)
  }
  reading.append(status)
  follow()
}

function complain(name, texts) {
  const list = document.createElement('ul')
  list.className = 'errorlist'
  for (const text of texts) {
    const item = document.createElement('li')
    item.textContent = text
    list.append(item)
  }
  const row = form.querySelector(`[data-field="${CSS.escape(name)}"]`) ?? form
  row.prepend(list)
}

// Why a certificate could not be renewed, kept until it was.
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CertError } from '../../src/errors.js'
import {
  failedAgain,
  keepFailedRenewal,
  readFailedRenewal,
  removeFailedRenewal,
} from '../../src/state/failed-renewal.js'
import { keepLastRun, readLastRun } from '../../src/state/last-run.js'
import { StateFolder } from '../../src/state/state-folder.js'

const [first, second, third] = [
  '2026-06-01T00:00:00.000Z',
  '2026-06-01T01:00:00.000Z',
  '2026-06-02T00:00:00.000Z',
] as const
const name = 'example.com'
const wrong = new CertError('CHALLENGE_FAILED', 'nobody answered', { hint: 'open port 80' })
const spent = new CertError('ORDER_BUDGET_SPENT', 'it is not asked before tomorrow', { passing: true })

const open = async (t: Test): Promise<StateFolder> => {
  const root = mkdtempSync(join(tmpdir(), 'acme-oss-renewal-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  return await StateFolder.open(root)
}

t.test('counted, and kept since the first time', async (t) => {
  const once = failedAgain(undefined, wrong, new Date(first), undefined)
  t.match(once, { since: first, at: first, tries: 1, passing: false, next: undefined })
  t.strictSame(once.error, {
    code: 'CHALLENGE_FAILED',
    message: 'nobody answered',
    hint: 'open port 80',
    vendor: undefined,
  })
  const away = new CertError('CA_UNAVAILABLE', 'it is away', { passing: true })
  const again = failedAgain(once, away, new Date(second), undefined)
  t.match(again, { since: first, at: second, tries: 2, passing: true, error: { code: 'CA_UNAVAILABLE' } })
})

t.test('where no more is ordered, the reason is what failed before', async (t) => {
  const once = failedAgain(undefined, wrong, new Date(first), undefined)
  const waiting = failedAgain(once, spent, new Date(second), new Date(third))
  t.match(waiting, {
    since: first,
    at: second,
    tries: 1,
    passing: false,
    next: third,
    error: { code: 'CHALLENGE_FAILED' },
  })
  t.equal(failedAgain(waiting, wrong, new Date(third), undefined).next, undefined, 'it has gone on')
  t.match(failedAgain(undefined, spent, new Date(first), new Date(third)), {
    next: third,
    error: { code: 'ORDER_BUDGET_SPENT' },
  })
})

t.test('on disk', async (t) => {
  const state = await open(t)
  const path = state.path('certificates', name, 'renewal.json')
  t.equal(readFailedRenewal(state, name), undefined)
  await removeFailedRenewal(state, name)
  for (const code of ['INTERRUPTED', 'LOCKED'] as const) {
    await keepFailedRenewal(state, name, new CertError(code, 'somebody else'), new Date(first))
  }
  t.notOk(existsSync(path), 'these say nothing of it')
  await keepFailedRenewal(state, name, wrong, new Date(first))
  await keepFailedRenewal(state, name, spent, new Date(second), new Date(third))
  t.match(readFailedRenewal(state, name), {
    since: first,
    at: second,
    next: third,
    error: { message: 'nobody answered' },
  })
  t.equal(statSync(path).mode & 0o777, 0o600)
  await removeFailedRenewal(state, name)
  t.notOk(existsSync(path))
})

t.test('somebody else had a hand in it', async (t) => {
  const state = await open(t)
  await keepFailedRenewal(state, name, wrong, new Date(first))
  const path = state.path('certificates', name, 'renewal.json')
  const sound = readFailedRenewal(state, name)
  for (const text of [
    ...['', '{', 'null', '[]', '{}'],
    ...[
      { since: 'x' },
      { at: 1 },
      { tries: '1' },
      { passing: 'no' },
      { next: 'x' },
      { error: null },
      { schema: 2 },
    ].map((part) => JSON.stringify({ ...sound, ...part })),
    JSON.stringify({ ...sound, error: { code: 'X' } }),
    JSON.stringify({ ...sound, error: { code: 'X', message: 'x', hint: 1 } }),
  ]) {
    writeFileSync(path, text)
    t.equal(readFailedRenewal(state, name), undefined, text)
  }
  await keepFailedRenewal(state, name, wrong, new Date(second))
  t.match(readFailedRenewal(state, name), { since: second, tries: 1 })
})

t.test('it cannot be written', async (t) => {
  const state = await open(t)
  writeFileSync(state.path('certificates'), 'a file in its place')
  await keepFailedRenewal(state, name, wrong, new Date(first))
  await removeFailedRenewal(state, name)
  writeFileSync(join(state.root, 'last-run.json'), '{')
  t.equal(await readLastRun(state), undefined)
  await keepLastRun(state, new Date(first), 3)
  t.strictSame(await readLastRun(state), { schema: 1, at: first, status: 3 })
  rmSync(state.root, { recursive: true })
  t.equal(await readLastRun(state), undefined)
})

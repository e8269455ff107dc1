import t from 'tap'
import { isNowhere, type Placing, placingsOf } from '../../src/pipeline/placing.js'
import type { DeploymentRecord, StepRecord } from '../../src/state/deployment-record.js'

const at = '2026-05-01T00:00:00.000Z'
const done: StepRecord = { status: 'done', at }
const back: StepRecord = { status: 'done', at, standsBack: true }
const taken: StepRecord = { status: 'superseded', at, by: 'b' }
const pending: StepRecord = { status: 'pending' }

type Targets = Readonly<Record<string, Readonly<Record<string, StepRecord>>>>

const placings = (targets: Targets) =>
  placingsOf({
    targets: Object.fromEntries(
      Object.entries(targets).map(([identity, steps]) => [
        identity,
        { kind: '', name: '', settings: {}, steps, ...(identity === 'exec' && { afterOthers: true }) },
      ]),
    ),
  } as unknown as DeploymentRecord)

t.test('a certificate that came to no place', async (t) => {
  const cases: readonly (readonly [string, Targets, boolean])[] = [
    ['nothing is known', {}, false],
    ['there', { a: { archive: done, latest: done } }, false],
    ['archived and no more', { a: { archive: done, latest: back } }, true],
    ['archived before it was pushed out', { a: { archive: done, latest: taken } }, true],
    ['in one of two', { a: { latest: back }, b: { latest: done } }, false],
    ['in none of two', { a: { latest: back }, b: { latest: taken } }, true],
    ['what comes after all is no place', { a: { latest: back }, exec: { run: done } }, true],
    ['found in one of two', { a: { find: done, 'bind x': back, 'served x': done, 'bind y': done } }, false],
    ['found in none of two', { a: { find: done, 'bind x': back, 'served x': done, 'bind y': taken } }, true],
    ['found nowhere, which nothing keeps it out of', { a: { find: done } }, false],
    ['one that was found is still to come', { a: { find: done, 'bind x': back, 'bind y': pending } }, true],
  ]
  for (const [name, targets, expected] of cases) t.equal(isNowhere(new Map(), placings(targets)), expected, name)
})

t.test('what came of it now counts, rather than earlier', async (t) => {
  const now = (identity: string, ...steps: Placing[]) => new Map([[identity, steps]])
  const latest: Placing = { id: 'latest' }
  const lost: Placing = { ...latest, standsBack: true }
  t.equal(isNowhere(now('a', lost), new Map()), true)
  t.equal(isNowhere(now('a', lost), placings({ b: { latest: done } })), false, 'elsewhere earlier')
  t.equal(isNowhere(now('a', lost), placings({ a: { archive: done, latest: pending } })), true)
  t.equal(isNowhere(now('a', latest), placings({ a: { archive: done, latest: back } })), false)
  t.equal(isNowhere(now('a', lost), placings({ a: { latest: done } })), true)
  const bind = { id: 'bind y', standsBack: true }
  t.equal(isNowhere(now('a', bind), placings({ a: { 'bind x': done } })), false, 'in another place of the same target')
})

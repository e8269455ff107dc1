// How often a CA may be asked for the same names, and what stands in the way of more.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { spentBudget } from '../../src/issuer/order-budget.js'
import type { Ledger, PlacedOrder } from '../../src/state/order-ledger.js'
import { testOutput } from '../issue-command.js'
import { problem, type StubCa, startStubCa } from '../stub-ca.js'
import { setUp, succeeded, type Trial } from '../stub-trial.js'

const now = new Date('2030-06-15T12:00:00Z')
const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

type Outcome = PlacedOrder['outcome']

/** So many orders, one each minute, the last of them so long ago. */
const orders = (count: number, ago: number, outcome?: Outcome): PlacedOrder[] =>
  Array.from({ length: count }, (_, i) => ({
    at: new Date(now.getTime() - ago - (count - 1 - i) * minute).toISOString(),
    outcome,
  }))

t.test('what is left of it', async (t) => {
  const cases: readonly [what: string, ledger: Ledger, isPublic: boolean, until?: string, why?: RegExp][] = [
    ['nothing yet', { orders: [] }, true],
    ['three failures within an hour', { orders: orders(3, minute, 'failed') }, true],
    // The first of the four was placed at 11:56.
    ['four', { orders: orders(4, minute, 'failed') }, true, '12:56', /^4 orders failed within an hour$/],
    ['four of which nobody knows', { orders: orders(4, minute) }, true, '12:56', /^4 orders failed/],
    ['five: one more has to be out of sight', { orders: orders(5, minute, 'failed') }, true, '12:56', /^5 orders/],
    ['four, the first an hour ago', { orders: orders(4, hour - 3 * minute, 'failed') }, true],
    ['four, the first almost an hour ago', { orders: orders(4, hour - 4 * minute, 'failed') }, true, '12:01'],
    ['eleven within a day', { orders: orders(11, 2 * hour, 'failed') }, true],
    ['twelve', { orders: orders(12, 2 * hour, 'failed') }, true, 'tomorrow 09:49', /^12 orders failed within a day$/],
    ['four certificates within a week', { orders: orders(4, day, 'issued') }, true, '+6', /^4 certificates/],
    ['three', { orders: orders(3, day, 'issued') }, true],
    ['three, and three failures', { orders: [...orders(3, day, 'issued'), ...orders(3, minute, 'failed')] }, true],
    ['a week ago', { orders: orders(4, 7 * day, 'issued') }, true],
    ['four failures elsewhere', { orders: orders(4, minute, 'failed') }, false],
    ['eleven elsewhere', { orders: orders(11, minute, 'failed') }, false],
    ['twelve elsewhere', { orders: orders(12, minute) }, false, '12:48', /^12 orders failed within an hour$/],
    ['sixty within a day elsewhere', { orders: orders(60, 2 * hour, 'failed') }, false, 'tomorrow 09:01', /^60 orders/],
    ['99 certificates elsewhere', { orders: orders(99, minute, 'issued') }, false],
    ['a hundred', { orders: orders(100, minute, 'issued') }, false, 'tomorrow 10:20', /^100 certificates.* a day$/],
    ['left alone', { orders: [], restUntil: '2030-06-15T13:30:00Z' }, false, '13:30', /^it asked to be left alone$/],
    ['left alone until now', { orders: [], restUntil: now.toISOString() }, false],
    [
      'both: the later counts',
      { orders: orders(4, minute, 'failed'), restUntil: '2030-06-15T12:30:00Z' },
      true,
      '12:56',
      /^4 orders/,
    ],
    [
      'both, the other way round',
      { orders: orders(4, minute, 'failed'), restUntil: '2030-06-15T14:30:00Z' },
      true,
      '14:30',
      /^it asked/,
    ],
  ]
  for (const [what, ledger, isPublic, until, why] of cases) {
    const spent = spentBudget(ledger, isPublic, now)
    t.equal(spent === undefined, until === undefined, what)
    if (spent === undefined || until === undefined) continue
    const expected =
      until === '+6'
        ? new Date(now.getTime() + 6 * day - 3 * minute)
        : new Date(`2030-06-${until.startsWith('tomorrow') ? 16 : 15}T${until.slice(-5)}:00Z`)
    t.same(spent.until, expected, `${what}: until when`)
    if (why !== undefined) t.match(spent.why, why, what)
    t.equal(spentBudget(ledger, isPublic, spent.until), undefined, `${what}: then it goes on`)
    t.ok(spentBudget(ledger, isPublic, new Date(spent.until.getTime() - 1)), `${what}: and not before`)
  }
})

/** Most of it is tried in this process. */
const here = { here: true }

const ledgerOf = ({ place }: Trial, ca: StubCa): string =>
  join(
    place.state,
    'orders',
    encodeURIComponent(`${new URL(ca.directoryUrl).host}/dir`),
    'a.example.com%2Cb.example.com.json',
  )

const read = (trial: Trial): Ledger => JSON.parse(readFileSync(ledgerOf(trial, trial.ca), 'utf8')) as Ledger

/** As if so many had failed, the first of them half an hour ago. @returns when that one is an hour ago */
const seed = (trial: Trial, count: number): string => {
  const first = Date.now() - hour / 2
  const failed = Array.from({ length: count }, (_, i) => ({
    at: new Date(first + i * minute).toISOString(),
    outcome: 'failed',
  }))
  const file = ledgerOf(trial, trial.ca)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  writeFileSync(file, JSON.stringify({ orders: failed }))
  return `${new Date(first + hour).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

t.test('a loop of failures ends', async (t) => {
  const [trial, second] = await Promise.all([setUp(t), startStubCa(t)])
  const { ca, run } = trial
  const until = seed(trial, 11)
  ca.manners.unprovable = { 'a.example.com': problem(403, 'unauthorized', 'not there') }
  t.match(await run([], here), { code: 1, json: { error: { code: 'CHALLENGE_FAILED' } } }, 'one more may be tried')
  t.equal(read(trial).orders.length, 12)
  t.equal(read(trial).orders.at(-1)?.outcome, 'unproven')
  ca.manners.unprovable = {}

  const spent = await run()
  t.equal(spent.code, 1)
  t.match(spent.json.error, {
    code: 'ORDER_BUDGET_SPENT',
    message: new RegExp(
      `^127\\.0\\.0\\.1:${ca.port} is not asked for a\\.example\\.com, b\\.example\\.com before ${until}: 12 orders failed within an hour$`,
    ),
    hint: /--ca letsencrypt-staging/,
  })
  t.ok(spent.json.error?.hint?.includes(ledgerOf(trial, ca)), 'the way out is named')
  t.equal(ca.count('newOrder'), 1)
  t.ok(trial.isClean())

  const web = ['--webroot', trial.web, '--agree-tos', '--json', '--directory', join(trial.place.folder, 'b')]
  const cas = ['--ca', ca.directoryUrl, '--ca', second.directoryUrl]
  const elsewhere = () =>
    trial.place.run(['-d', 'b.example.com', '-d', 'a.example.com', '--name', 'b', ...cas, ...web], here)
  t.match(await elsewhere(), { code: 1, json: { error: { code: 'ORDER_BUDGET_SPENT' } } })
  t.equal(second.count('newOrder'), 0, 'what could not be proven here could not be there')

  // Now it was the CA that failed.
  seed(trial, 12)
  const [other, asked] = await Promise.all([run(['-d', 'c.example.com', '--name', 'other'], here), elsewhere()])
  succeeded(t, other, 'other names are free')
  succeeded(t, asked, 'and so is another CA')
  t.match(asked.json, {
    order: { ca: new URL(second.directoryUrl).host },
    warnings: [/is not asked for b\.example\.com, a\.example\.com before .* is asked instead$/],
  })
  t.equal(ca.count('newOrder'), 2, 'whatever the certificate is called, and in whichever order its names are')
})

t.test('whoever is killed while asking has asked', async (t) => {
  const trial = await setUp(t)
  const { ca, run } = trial
  seed(trial, 11)
  const killed = await run([], {
    onStart: (child) =>
      ca.onRequest(
        1,
        () => {
          child.kill('SIGKILL')
          return 'hang'
        },
        { kind: 'newOrder' },
      ),
  })
  t.equal(killed.signal, 'SIGKILL')
  t.equal(read(trial).orders.length, 12)
  t.equal(read(trial).orders.at(-1)?.outcome, undefined)
  t.match(await run([], here), { code: 1, json: { error: { code: 'ORDER_BUDGET_SPENT' } } })
  t.equal(ca.count('newOrder'), 1)
})

t.test('an order that came to nothing meanwhile does not lead around it', async (t) => {
  const trial = await setUp(t)
  const { ca, run } = trial
  ca.manners.processingLooks = Number.POSITIVE_INFINITY
  t.match(await run(['--ca-timeout', '1'], here), { code: 1, json: { error: { code: 'CA_UNAVAILABLE' } } })
  ca.endOrder(0)
  seed(trial, 12)
  t.match(await run([], here), { code: 1, json: { error: { code: 'ORDER_BUDGET_SPENT' } } })
  t.equal(ca.count('newOrder'), 1)
})

t.test('what was issued counts as issued, and what was refused as failed', async (t) => {
  const trial = await setUp(t)
  const { ca, run } = trial
  ca.fail('newOrder', problem(403, 'rejectedIdentifier', 'not for you'))
  t.match(await run([], here), { code: 1, json: { error: { code: 'CA_REFUSED' } } })
  t.match(read(trial).orders, [{ outcome: 'failed' }], 'or it would be asked for ever')
  succeeded(t, await run([], here))
  t.match(read(trial).orders, [{ outcome: 'failed' }, { outcome: 'issued' }])
  // Whoever has a hand in it wants to begin anew.
  writeFileSync(ledgerOf(trial, ca), '{"orders":')
  succeeded(t, await run(['--force-renewal'], here))
  t.ok(existsSync(ledgerOf(trial, ca)))
  t.match(read(trial).orders, [{ outcome: 'issued' }])
})

t.test('a ledger that a wrong clock wrote', async (t) => {
  const trial = await setUp(t)
  const file = ledgerOf(trial, trial.ca)
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const at = new Date(Date.now() + 3650 * day).toISOString()
  const ahead = Array.from({ length: 12 }, () => ({ at, outcome: 'failed' }))
  writeFileSync(file, JSON.stringify({ orders: ahead, restUntil: '9999-01-01T00:00:00.000Z' }))
  succeeded(t, await trial.run([], here))
  t.match(read(trial).orders, [{ outcome: 'issued' }], 'what it wrote is gone')
  t.equal(read(trial).orders.length, 1)
})

t.test('a CA that asks to be left alone for years', async (t) => {
  const trial = await setUp(t)
  const { ca, run } = trial
  const seconds = String(30 * 365 * 24 * 3600)
  ca.fail('newOrder', { ...problem(429, 'rateLimited', 'later'), headers: { 'retry-after': seconds } })
  t.match(await run([], here), { code: 1, json: { error: { vendor: { code: 'rateLimited' } } } })
  const rest = Date.parse(read(trial).restUntil ?? '') - Date.now()
  t.ok(rest > day && rest <= 2 * day, `it is left alone for two days (${rest} ms)`)
  t.match(await run([], here), { code: 1, json: { error: { code: 'ORDER_BUDGET_SPENT' } } })
  t.equal(ca.count('newOrder'), 1)
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))

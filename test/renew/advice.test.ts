// What a CA says of when to renew (RFC 9773), of many certificates in few runs; and what it is told is replaced.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { decide, newAdvice } from '../../src/pipeline/renewal.js'
import { type CertificateRecord, CertificateStore, type IssuedVersion } from '../../src/state/certificates.js'
import { OrderLedger } from '../../src/state/order-ledger.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { makeFolder, testOutput } from '../issue-command.js'
import type { Manners } from '../stub-ca/manners.js'
import { problem, type StubCa, startStubCa } from '../stub-ca.js'
import { openRenewWorld, type RenewResult } from './renew-world.js'

const hour = 3_600_000
const day = 24 * hour

type Said = Extract<Manners['renewalInfo'], (...certificate: never) => unknown>
type Answer = ReturnType<Said>

const inDays = (from: number, to: number, retryAfter = 6 * 3600): Answer => ({
  start: new Date(Date.now() + from * day),
  end: new Date(Date.now() + to * day),
  retryAfter,
})

interface Case {
  readonly answer: Answer
  readonly profile?: string
  readonly at?: StubCa
  /** In how many days from now it is renewed, between these; 0 is at once. */
  readonly renewed: readonly [from: number, to: number]
  /** In how many hours the CA is asked again. */
  readonly asked: number
}

// A certificate of 90 days on its 9th: 60 - 9, and a little earlier for each on its own account.
const own = [48, 51] as const

const name = (label: string) => `${label}.example.com`

t.test('advice', async (t) => {
  const world = await openRenewWorld(t)
  const { ca } = world
  const [other, silent] = [await startStubCa(t), await startStubCa(t)]
  const profiles = { short: { lifetime: { days: 6, used: 0.1 } } }
  for (const one of [ca, other, silent]) one.manners.lifetime = { days: 90, used: 0.1 }
  ca.manners.profiles = profiles
  other.manners.renewalInfo = 'the last third'
  mkdirSync(world.path('web'))

  const cases: Readonly<Record<string, Case>> = {
    past: { answer: inDays(-2, -1), renewed: [0, 0], asked: 0 },
    far: { answer: inDays(300, 310), renewed: own, asked: 6 },
    soon: { answer: inDays(10, 20), renewed: [10, 20], asked: 6 },
    moves: { answer: inDays(10, 20), renewed: [10, 20], asked: 6 },
    hour: { answer: inDays(30, 31, 3600), renewed: [30, 31], asked: 1 },
    month: { answer: inDays(30, 31, 30 * 24 * 3600), renewed: [30, 31], asked: 24 },
    short: { answer: inDays(5, 5.3), profile: 'short', renewed: [2.1, 2.4], asked: 6 },
    'short-soon': { answer: inDays(0.5, 1), profile: 'short', renewed: [0.5, 1], asked: 6 },
    nonsense: { answer: { start: 'soon', end: 'later' }, renewed: own, asked: 1 },
    backwards: { answer: inDays(-1, -2), renewed: own, asked: 1 },
    missing: { answer: problem(404, 'malformed', 'no such certificate'), renewed: own, asked: 1 },
    down: { answer: { status: 503, headers: { 'retry-after': '7200' } }, renewed: own, asked: 2 },
    gone: { answer: 'kill', renewed: own, asked: 1 },
    silent: { answer: 'kill', at: silent, renewed: own, asked: 24 },
  }
  const answers = new Map(Object.entries(cases).map(([label, { answer }]) => [name(label), answer]))
  const first = new Set<string>()
  ca.manners.renewalInfo = ({ names: [one = ''], certId }) =>
    (first.has(certId) ? answers.get(one) : undefined) ?? inDays(300, 310)

  const configure = (at: Readonly<Record<string, StubCa>> = {}): void => {
    const entries = Object.entries(cases).map(([label, { profile, at: usual = ca }]) => {
      const its = profile === undefined ? '' : `, profile: ${profile}`
      const { directoryUrl } = at[label] ?? usual
      return `
  ${name(label)}:
    domains: [${name(label)}]
    issue: { ca: '${directoryUrl}', webroot: '${world.path('web')}'${its} }
    deploy: [{ directory: { path: '${world.path(label)}' } }]`
    })
    world.configure(`account: { agree-tos: true }\ncertificates:${entries.join('')}\n`)
  }
  configure()
  const file = (label: string) => world.path('state', 'certificates', name(label), 'certificate.json')
  const record = (label: string): CertificateRecord & { readonly current: IssuedVersion } =>
    JSON.parse(readFileSync(file(label), 'utf8'))
  /** As if it were time. */
  const forgetLook = (label: string, nextLook = '2020-01-01T00:00:00.000Z'): void => {
    const { current, ...rest } = record(label)
    const advice = { ...current.advice, nextLook }
    writeFileSync(file(label), JSON.stringify({ ...rest, current: { ...current, advice } }))
  }
  const of = ({ json }: RenewResult, label: string) => json.results.find((one) => one.name === name(label))

  t.equal((await world.renew()).code, 0)
  for (const { certId } of ca.certificates) first.add(certId)
  const atOther = Object.values(cases).filter(({ at }) => at !== undefined).length
  t.equal(ca.orders.length, Object.keys(cases).length - atOther)
  t.equal(ca.count('renewalInfo'), 0, 'of what was issued a moment ago nothing is asked')

  const asked = await world.renew()
  t.equal(asked.code, 0, asked.stderr)
  for (const [label, { renewed, asked: hours, at = ca }] of Object.entries(cases)) {
    await t.test(label, async (t) => {
      const result = of(asked, label)
      const [from, to] = renewed
      const { advice } = record(label).current
      if (to === 0) {
        t.match(result, { due: true, order: { placed: true } })
        t.equal(advice, undefined, 'nothing is known of the new one')
        return
      }
      t.match(result, { due: false, order: null, error: null })
      const days = (Date.parse(result?.renewal ?? '') - Date.now()) / day
      t.ok(days > from - 0.01 && days <= to, `${days} is between ${from} and ${to}`)
      const look = (Date.parse(advice?.nextLook ?? '') - Date.now()) / hour
      t.ok(look > hours - 0.1 && look <= hours, `asked again in ${look} hours`)
      t.equal(at.count('renewalInfo') > 0, at === ca)
    })
  }
  t.equal(ca.count('renewalInfo'), Object.keys(cases).length - atOther, 'each once')
  const past = ca.certificates.find(({ names }) => names[0] === name('past'))
  t.match(ca.orders.at(-1), { names: [name('past')], replaces: past?.certId })

  await t.test('asked when it is time, and not before', async (t) => {
    const before = ca.count('renewalInfo')
    forgetLook('soon')
    forgetLook('moves')
    forgetLook('month')
    forgetLook('missing', '2099-01-01T00:00:00.000Z')
    answers.set(name('moves'), inDays(5, 6))
    answers.set(name('month'), { status: 500 })
    const again = await world.renew()
    t.equal(again.code, 0)
    t.equal(
      ca.count('renewalInfo') - before,
      5,
      'these, one that was put off by a wrong clock, and the one that is new',
    )
    t.equal(of(again, 'soon')?.renewal, of(asked, 'soon')?.renewal, 'the same window, the same moment')
    t.equal(of(again, 'month')?.renewal, of(asked, 'month')?.renewal, 'no answer, and the one before holds')
    const days = (Date.parse(of(again, 'moves')?.renewal ?? '') - Date.now()) / day
    t.ok(days > 4.99 && days <= 6, `another window, another moment: ${days}`)
    t.equal(of(again, 'past')?.due, false)
  })

  await t.test('one that does not answer', async (t) => {
    const before = ca.count('renewalInfo')
    forgetLook('hour')
    answers.set(name('hour'), 'hang')
    const result = await world.renew([name('hour'), '--timeout', '1'])
    t.equal(result.code, 0)
    t.equal(ca.count('renewalInfo') - before, 1)
    t.equal(of(result, 'hour')?.renewal, of(asked, 'hour')?.renewal)
    t.ok(Date.parse(record('hour').current.advice?.nextLook ?? '') > Date.now() + hour / 2)
  })

  await t.test('what the CA does not want to see replaced is ordered all the same', async (t) => {
    const [orders, asking] = [ca.orders.length, ca.count('newOrder')]
    ca.onRequest(1, () => problem(409, 'alreadyReplaced', 'there is another order'), { kind: 'newOrder' })
    ca.onRequest(3, () => problem(404, 'malformed', 'no such certificate'), { kind: 'newOrder' })
    const ids = [record('far'), record('hour')].map(({ current }) => current.renewalId)
    const both = [name('far'), name('hour')]
    const { code, stderr } = await world.renew([...both, '--force-renewal', '--concurrency', '1'])
    t.equal(code, 0, stderr)
    const payloads = ca.requests.filter(({ kind }) => kind === 'newOrder').slice(asking)
    t.same(
      payloads.map(({ payload }) => (payload as { readonly replaces?: string }).replaces),
      [ids[0], undefined, ids[1], undefined],
    )
    t.equal(ca.orders.length - orders, 2)
    for (const label of ['far', 'hour']) {
      const ledger = new OrderLedger(StateFolder.at(world.state), ca.directoryUrl, [name(label)], () => new Date())
      const outcomes = (await ledger.read()).orders.map(({ outcome }) => outcome)
      t.same(outcomes, ['issued', 'issued'], 'counted once')
    }
  })

  await t.test('another CA is not told what it never issued', async (t) => {
    configure({ soon: other })
    const { code, stderr, json } = await world.renew([name('soon')])
    t.equal(code, 0, stderr)
    t.match(json.results, [{ why: 'another CA is wanted' }])
    const payloads = other.requests.filter(({ kind }) => kind === 'newOrder').map(({ payload }) => payload)
    t.same(payloads, [{ identifiers: [{ type: 'dns', value: name('soon') }] }])
    t.equal((await world.renew([name('soon'), '--force-renewal'])).code, 0)
    t.equal(other.orders[1]?.replaces, other.certificates[0]?.certId, 'and is told what it issued')
  })
})

t.test('an interruption is no answer', async (t) => {
  const state = await StateFolder.open(makeFolder(t))
  const store = new CertificateStore(state, 'example.com')
  const issue = {
    ca: [{ name: 'ca', directory: 'https://ca.example/dir' }],
    ...{ agreeTos: true, keyType: 'ec256', reuseKey: false, caTimeout: 600, solver: {}, eab: {} },
  }
  const [from, to] = [Date.now() - day, Date.now() + 80 * day].map((time) => new Date(time).toISOString())
  const current = { id: '0123456789ab', notBefore: from as string, notAfter: to as string, renewalId: 'a.b' }
  const version = { ...current, directory: 'https://ca.example/dir', keyType: 'ec256' }
  const wanted = { name: 'example.com', names: ['example.com'], issue, deploy: [] }
  await store.keepRecord({ ...wanted, schema: 2, current: version })
  const interruption = new AbortController()
  const advise = async () => {
    interruption.abort()
    return { window: undefined, retryAfter: hour }
  }
  const options = { state, now: () => new Date(), advise, chance: () => 0, isKept: true }
  t.match(await decide(wanted, { ...options, signal: interruption.signal }), { due: false })
  t.equal((await store.read())?.current?.advice, undefined)
  await decide(wanted, { ...options, signal: new AbortController().signal })
  t.match((await store.read())?.current?.advice, { nextLook: /^20/ }, 'and an answer that is none puts it off')
})

t.test('the moment that is drawn', async (t) => {
  const now = new Date('2027-01-01T00:00:00Z')
  const window = { start: new Date('2027-01-10T00:00:00Z'), end: new Date('2027-01-12T00:00:00Z') }
  const other = { ...window, end: new Date('2027-01-14T00:00:00Z') }
  const drawn = newAdvice(
    undefined,
    { window, retryAfter: undefined, explanation: 'https://ca.example/why' },
    () => 0.5,
    now,
  )
  t.same(drawn, {
    window: { start: '2027-01-10T00:00:00.000Z', end: '2027-01-12T00:00:00.000Z' },
    at: '2027-01-11T00:00:00.000Z',
    explanation: 'https://ca.example/why',
    nextLook: '2027-01-01T06:00:00.000Z',
  })
  const later = new Date(now.getTime() + day)
  const look = (before: typeof drawn | undefined, advised: Parameters<typeof newAdvice>[1]) =>
    newAdvice(before, advised, () => 0, later)
  t.equal(look(drawn, { window, retryAfter: hour }).at, drawn.at, 'stays as long as the window does')
  t.equal(look(drawn, { window, retryAfter: hour }).nextLook, '2027-01-02T01:00:00.000Z')
  t.equal(look(drawn, { window: other, retryAfter: hour }).at, '2027-01-10T00:00:00.000Z', 'another window')
  t.match(look(drawn, { window: undefined, retryAfter: hour }), { at: drawn.at, window: drawn.window }, 'no answer')
  t.same(look(undefined, { window: undefined, retryAfter: hour }), { nextLook: '2027-01-02T01:00:00.000Z' })
})

t.test('nothing was given away by any of this', async (t) => testOutput(t))

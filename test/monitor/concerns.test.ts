// What a person should know of a name, case by case.
import t from 'tap'
import { concernsOf, httpsConcerns, newestOf } from '../../src/monitor/concerns.js'
import type { NameFacts } from '../../src/monitor/name-facts.js'
import type { OrderInProgress } from '../../src/state/order-in-progress.js'
import { at, certificate, day, done, facts, failed, failedRenewal, now, open, over, record } from './facts.js'

const kindsOf = (some: Partial<NameFacts>, expiryDays = 30, when = now): string[] =>
  concernsOf(facts(some), { expiryDays }, when).map(({ kind }) => kind)

const sentenceOf = (some: Partial<NameFacts>, expiryDays = 30): string | undefined =>
  concernsOf(facts(some), { expiryDays }, now)[0]?.sentence

const fresh = [-1, 89] as const
const renewed = (digit: string, span: readonly [number, number], renewal: number) => ({
  certificate: certificate(digit, span),
  isRenewed: true,
  renewal: new Date(at(renewal)),
})

const cases: Readonly<Record<string, readonly [Partial<NameFacts>, ...string[]]>> = {
  'all is well': [{ records: [record('a', fresh)] }],
  'nothing is on record': [{}],
  'a step was never tried': [{ records: [record('a', fresh, { archive: open, latest: open })] }],
  'a step failed': [{ records: [record('a', fresh, { archive: failed(), latest: open })] }, 'pending'],
  'two steps failed': [
    { records: [record('a', fresh, { 'bind a': failed(), 'bind b': failed() })] },
    'pending',
    'pending',
  ],
  'of two certificates the same step failed': [
    { records: [record('b', fresh, { archive: failed() }), record('a', [-2, 88], { archive: failed() })] },
    'pending',
  ],
  'nobody knows where it is to go': [
    {
      records: [
        record(
          'a',
          fresh,
          {},
          {
            targets: {},
            unresolved: { at: at(-1), tries: 1, next: at(1), error: { code: 'CONFIG_INVALID', message: 'no entry' } },
          },
        ),
      ],
    },
    'unresolved',
  ],
  'what is damaged': [
    { damaged: [{ id: 'a', error: { code: 'STATE_UNUSABLE', message: 'the record is damaged' } }] },
    'damaged',
  ],
  'the end is near': [{ records: [record('a', [-61, 29])] }, 'expiring'],
  'the end is not near': [{ records: [record('a', [-59, 31])] }],
  'a third of a week is left': [{ records: [record('a', [-5, 2])] }, 'expiring'],
  'more than a third of a week is left': [{ records: [record('a', [-4, 3])] }],
  'it has ended': [{ records: [record('a', [-91, -1])] }, 'expired'],
  'the older one has ended': [{ records: [record('b', fresh), record('a', [-91, -1])] }],
  'it ended before it was in place': [{ records: [record('a', [-91, -1], { archive: over('expired') })] }, 'expired'],
  'it was forgotten, and has ended': [{ records: [record('a', [-91, -1], { archive: over('forgotten') })] }],
  'it has pushed out what has ended': [{ records: [record('a', [-91, -1], { archive: over('superseded') })] }],
  'the newer one was forgotten': [
    { records: [record('b', fresh, { archive: over('forgotten') }), record('a', [-61, 29])] },
    'expiring',
  ],
  'a newer one was issued, and is deployed nowhere yet': [
    { records: [record('a', [-61, 29])], ...renewed('b', fresh, 59) },
  ],
  'another client has taken over': [{ records: [record('b', fresh)], ...renewed('a', [-89, 1], 58) }],
  'issued, and deployed nowhere': [{ ...renewed('a', fresh, 59) }],
  'it is due since an hour': [{ records: [record('a', [-60.5, 29.5])], ...renewed('a', [-60.5, 29.5], -1 / 24) }],
  'it is due since two days': [
    { records: [record('a', [-62, 28])], ...renewed('a', [-62, 28], -2) },
    'renewal',
    'expiring',
  ],
  'one of six days is due since an hour': [{ ...renewed('a', [-4, 2], -1 / 24) }],
  'one of six days is due since a day': [{ ...renewed('a', [-4.5, 1.5], -1) }, 'renewal', 'expiring'],
  'it could not be renewed': [{ ...renewed('a', fresh, -0.1), failedRenewal: failedRenewal() }, 'renewal'],
  'it could not be renewed for the moment': [
    { ...renewed('a', fresh, -0.1), failedRenewal: failedRenewal({ passing: true, since: at(-0.1) }) },
  ],
  'it could not be renewed for two days': [
    { ...renewed('a', fresh, -2), failedRenewal: failedRenewal({ passing: true }) },
    'renewal',
  ],
  'there is none, and none can be had for the moment': [
    { failedRenewal: failedRenewal({ passing: true, since: at(-0.1) }) },
    'renewal',
  ],
  'it was forgotten, and could not be renewed': [
    { certificate: { ...certificate('a', fresh), forgotten: true }, failedRenewal: failedRenewal() },
  ],
  'it was forgotten, and is still in place': [
    { certificate: { ...certificate('a', [-61, 29]), forgotten: true }, records: [record('a', [-61, 29])] },
    'expiring',
  ],
  'it was forgotten, and has ended in the state folder alone': [
    { certificate: { ...certificate('a', [-91, -1]), forgotten: true } },
  ],
  'what is damaged cannot be renewed': [
    {
      damaged: [{ id: 'certificate', error: { code: 'STATE_UNUSABLE', message: 'it is damaged' } }],
      failedRenewal: failedRenewal(),
    },
    'damaged',
  ],
  'it was revoked': [
    {
      records: [record('a', fresh)],
      ...renewed('a', fresh, 59),
      certificate: certificate('a', fresh, { revokedAt: at(-1) }),
    },
    'revoked',
  ],
  'it was revoked, and is not renewed': [
    {
      records: [record('a', fresh)],
      certificate: { ...certificate('a', fresh, { revokedAt: at(-1) }), forgotten: true },
    },
    'revoked',
  ],
  'it was revoked, and another has taken its place': [
    {
      records: [record('b', [0, 90])],
      ...renewed('a', fresh, 59),
      certificate: certificate('a', fresh, { revokedAt: at(-1) }),
    },
  ],
  'one that is not kept ready any more has ended': [
    { name: 'example.com~standby', certificate: certificate('a', [-91, -1]), records: [record('a', [-91, -1])] },
  ],
  'one that is kept ready ends': [
    { name: 'example.com~standby', ...renewed('a', [-70, 20], -8) },
    'renewal',
    'expiring',
  ],
  'an older one was gone back to, and ends': [
    {
      records: [record('b', fresh), record('a', [-70, 20])],
      hold: { archive: record('a', [-70, 20]).archive, at: at(-1) },
    },
    'expiring',
  ],
  'an older one was gone back to, and is good': [
    {
      records: [record('b', fresh), record('a', [-2, 88])],
      hold: { archive: record('a', [-2, 88]).archive, at: at(-1) },
    },
  ],
}

for (const [what, [some, ...kinds]] of Object.entries(cases)) {
  t.test(what, async (t) => {
    t.same(kindsOf(some), kinds)
    for (const { id, sentence } of concernsOf(facts(some), { expiryDays: 30 }, now)) {
      t.notMatch(sentence, /^[A-Z]|\.$|\n/)
      t.equal((JSON.parse(id) as string[])[1], some.name ?? 'example.com')
    }
  })
}

t.test('the threshold', async (t) => {
  const some = { records: [record('a', [-80, 285])] }
  t.same(kindsOf(some, 284), [], 'a third of its lifetime at most')
  t.same(kindsOf({ records: [record('a', [-300, 65])] }, 66), ['expiring'])
  t.same(kindsOf({ records: [record('a', [-300, 65])] }, 64), [])
})

t.test('an order that has not ended', async (t) => {
  const order: OrderInProgress = {
    ...{ schema: 1, url: 'https://ca.test/order/1', directory: 'https://ca.test/directory', account: 'default' },
    ...{ names: ['example.com'], keyType: 'ec256', profile: undefined, placedAt: at(-2), solver: {}, challenges: [] },
  }
  const some = renewed('a', fresh, 59)
  t.same(kindsOf({ ...some, orders: [order] }), ['renewal'])
  t.equal(
    sentenceOf({ ...some, orders: [order] }),
    'the order for example.com at ca.test has not ended since 2026-05-30 12:00Z',
  )
  t.same(kindsOf({ ...some, orders: [{ ...order, placedAt: at(-0.5) }] }), [])
  t.same(kindsOf({ ...some, orders: [{ ...order, url: undefined }] }), [], 'only answers are left of it')
})

t.test('what is said', async (t) => {
  const bad = { ...renewed('a', fresh, -0.1), failedRenewal: failedRenewal({ next: at(0.5) }) }
  t.strictSame(concernsOf(facts(bad), { expiryDays: 30 }, now), [
    {
      id: '["renewal","example.com"]',
      kind: 'renewal',
      name: 'example.com',
      place: undefined,
      sentence:
        'example.com could not be renewed (7 tries since 2026-05-30 12:00Z): nobody answered; it goes on 2026-06-02 00:00Z',
      hint: 'open port 80',
    },
  ])
  t.match(
    sentenceOf({ failedRenewal: failedRenewal({ tries: 1 }) }),
    /^example\.com could not be issued: nobody answered$/,
  )
  t.match(sentenceOf({ records: [record('a', [-61, 29.5])] }), /expires in 29 days, on 2026-07-01 00:00Z$/)
  t.match(sentenceOf({ records: [record('a', [-5, 0.2])] }), /expires in 4 hours, on/)
  t.match(sentenceOf({ records: [record('a', [-5, 0.02])] }), /expires within the hour, on/)
  const [pending] = concernsOf(facts({ records: [record('a', fresh, { archive: failed() })] }), { expiryDays: 30 }, now)
  t.match(pending, {
    place: 'oss my-ssl-certs/certs/',
    sentence: 'example.com is not in place on oss my-ssl-certs/certs/: the bucket is gone',
    hint: 'make it',
  })
  const settings = { bucket: 'b', region: 'cn-hangzhou', domains: 'www.example.com' }
  const relaxed = { schema: 1, identity: 'oss b', kind: 'oss', name: 'bucket b', settings, saved: [] } as const
  t.match(httpsConcerns({ records: [relaxed, { ...relaxed, relaxedSince: at(-1) }], damaged: ['/x/record.json'] }), [
    {
      id: '["relaxed","bucket b","oss b"]',
      kind: 'relaxed',
      name: 'bucket b',
      place: 'bucket b',
      hint: /acme-oss https restore --bucket b --region cn-hangzhou, or/,
    },
    { kind: 'damaged', sentence: /\/x\/record\.json/ },
  ])
})

t.test('the same thing has the same id in every run, and with every certificate', async (t) => {
  const idsAt = (digit: string, message: string, when: Date): string[] =>
    concernsOf(
      facts({
        records: [record(digit, fresh, { archive: failed({ message }), latest: done })],
        ...renewed(digit, fresh, -2),
        failedRenewal: failedRenewal({ error: { code: 'CA_REFUSED', message } }),
      }),
      { expiryDays: 30 },
      when,
    ).map(({ id }) => id)
  const ids = idsAt('a', 'one', now)
  t.equal(ids.length, 2)
  t.same(idsAt('b', 'two', new Date(now.getTime() + day)), ids)
})

t.test('the newest', async (t) => {
  t.match(newestOf(facts({ records: [record('b', fresh), record('a', [-61, 29])] })), { id: 'b'.repeat(12) })
  t.equal(newestOf(facts()), undefined)
})

t.test('a budget that is spent says itself when it goes on', async (t) => {
  const message = 'letsencrypt is not asked for example.com before 2026-06-02 00:00 UTC'
  const spent = failedRenewal({ next: at(0.5), error: { code: 'ORDER_BUDGET_SPENT', message } })
  t.match(sentenceOf({ failedRenewal: spent }), new RegExp(`: ${message}$`))
  t.notMatch(sentenceOf({ failedRenewal: failedRenewal({ next: at(-0.5) }) }), /goes on/, 'it has gone on')
})

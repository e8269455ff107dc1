// What Prometheus is told, read as it reads it.
import t from 'tap'
import { Metrics } from '../../src/monitor/metrics.js'
import type { NameFacts } from '../../src/monitor/name-facts.js'
import { nameStanding } from '../../src/monitor/name-standing.js'
import type { TargetStanding } from '../../src/monitor/standing.js'
import { readExposition } from './exposition.js'
import { at, certificate, facts, failed, failedRenewal, now, over, record } from './facts.js'

const seconds = (days: number): number => Date.parse(at(days)) / 1000

const metricsOf = (all: readonly (readonly [Partial<NameFacts>, ReadonlyMap<string, TargetStanding>?])[]): Metrics => {
  const metrics = new Metrics()
  for (const [some, targets] of all) metrics.add(nameStanding(facts(some), targets, { expiryDays: 30 }, now), now)
  return metrics
}

t.test('the parser forgives nothing', async (t) => {
  const head = '# HELP a A thing.\n# TYPE a gauge\n'
  t.same([...readExposition(`${head}a{b="c\\"\\\\\\n,d"} 1\n`)], [['a', [{ labels: { b: 'c"\\\n,d' }, value: 1 }]]])
  for (const text of [
    `${head}a 1`,
    `${head}a 1\na 2\n`,
    `${head}a{b="c"} 1\na{b="c"} 1\n`,
    `${head}a{b="c",b="d"} 1\n`,
    `${head}a{b="c} 1\n`,
    `${head}a{b="c"d"} 1\n`,
    `${head}a{b="\\c"} 1\n`,
    `${head}a{b-c="d"} 1\n`,
    `${head}b 1\n`,
    `${head}a NaN\n`,
    `${head}a  1\n`,
    `${head}\na 1\n`,
    `${head}a{} 1\n`,
    head,
    'a 1\n',
    '# HELP a A thing.\na 1\n',
    `${head}a 1\n${head}a{b="c"} 1\n`,
  ]) {
    t.throws(() => readExposition(text), text)
  }
})

t.test('one name with all that there can be', async (t) => {
  const target = 'oss my-ssl-certs/certs/'
  const metrics = metricsOf([
    [
      {
        records: [
          record('b', [-1, 89], { archive: failed(), latest: failed({ code: 'CLOUD_UNAVAILABLE' }) }),
          record('a', [-61, 29]),
        ],
        certificate: certificate('b', [-1, 89]),
        isRenewed: true,
        renewal: new Date(at(59)),
        failedRenewal: failedRenewal(),
      },
    ],
  ])
  metrics.addOthers([{ identity: 'oss b', name: 'bucket b', since: now, flags: '--bucket b' }], new Date(at(-0.5)))
  const name = 'example.com'
  const one = (value: number, labels: object = { name }) => [{ labels, value }]
  const error = (step: string, code: string) => ({ labels: { name, target, step, code }, value: 1 })
  t.strictSame(Object.fromEntries(readExposition(metrics.text())), {
    acme_oss_names: one(1, {}),
    acme_oss_certificate_not_before_timestamp_seconds: one(seconds(-1)),
    acme_oss_certificate_expiry_timestamp_seconds: one(seconds(89)),
    acme_oss_deployed_not_before_timestamp_seconds: one(seconds(-61), { name, target }),
    acme_oss_deployed_expiry_timestamp_seconds: one(seconds(29), { name, target }),
    acme_oss_pending_steps: one(2),
    acme_oss_step_last_error: [error('archive', 'CLOUD_REFUSED'), error('latest', 'CLOUD_UNAVAILABLE')],
    acme_oss_renewal_timestamp_seconds: one(seconds(59)),
    acme_oss_renewal_due: one(0),
    acme_oss_renewal_last_error: one(1, { name, code: 'CHALLENGE_FAILED' }),
    acme_oss_concerns: [
      { labels: { name, kind: 'pending' }, value: 2 },
      { labels: { name, kind: 'renewal' }, value: 1 },
    ],
    acme_oss_https_relaxed: one(1, { place: 'bucket b' }),
    acme_oss_last_run_timestamp_seconds: one(seconds(-0.5), {}),
  })
})

t.test('what was found counts more than what was written down', async (t) => {
  const placed = (notBefore: string, notAfter: string) => ({
    place: 'one',
    found: 'other' as const,
    certificate: { notBefore: new Date(notBefore), notAfter: new Date(notAfter) },
  })
  const shown = (days: number) => ({
    certificate: { notBefore: new Date(at(-90 + days)), notAfter: new Date(at(days)) },
  })
  const standing = {
    there: { status: 'known', places: [placed(at(-30), at(60)), placed(at(-80), at(10)), placed('x', 'x')] },
    served: [
      { host: 'www.example.com', served: true, addresses: [shown(50), shown(20), { certificate: null }] },
      {
        host: 'silent.example.com',
        served: false,
        addresses: [{ certificate: null, verdict: { served: false, problem: { kind: 'refused' } } }],
      },
    ],
    isServed: false,
  } as unknown as TargetStanding
  const found = readExposition(
    metricsOf([[{ records: [record('a', [-1, 89])] }, new Map([['oss one', standing]])]]).text(),
  )
  t.match(found.get('acme_oss_deployed_expiry_timestamp_seconds'), [{ value: seconds(10) }], 'the oldest')
  t.strictSame(found.get('acme_oss_served_expiry_timestamp_seconds'), [
    { labels: { name: 'example.com', host: 'www.example.com' }, value: seconds(20) },
  ])
  t.match(found.get('acme_oss_served_not_before_timestamp_seconds'), [{ value: seconds(-70) }])
  const unknown = { ...standing, there: { status: 'unknown', why: 'nobody knows' }, served: null } as const
  const fallback = metricsOf([[{ records: [record('a', [-1, 89])] }, new Map([['oss one', unknown]])]])
  t.match(readExposition(fallback.text()).get('acme_oss_deployed_expiry_timestamp_seconds'), [{ value: seconds(89) }])
})

t.test('names that nobody would think of', async (t) => {
  const name = 'a"b\\c\nd{},=é'
  const twice = record('a', [-1, 89])
  const targets = Object.fromEntries(
    ['one', 'two'].map((identity) => [
      identity,
      { kind: 'directory', name: '/a "b\\n"\n/', settings: {}, steps: { archive: failed({ code: 'a"b' }) } },
    ]),
  )
  const text = metricsOf([
    [
      {
        name,
        records: [
          { ...twice, targets },
          { ...twice, targets },
        ],
      },
    ],
  ]).text()
  const found = readExposition(text)
  t.match(found.get('acme_oss_pending_steps'), [{ labels: { name }, value: 4 }])
  t.strictSame(found.get('acme_oss_step_last_error'), [
    { labels: { name, target: '/a "b\\n"\n/', step: 'archive', code: 'a"b' }, value: 1 },
  ])
})

t.test('the same series in the same order, whatever the order of the names', async (t) => {
  const names = ['b.example.com', 'a.example.com', 'c.example.com']
  const some = names.map((name) => [{ name, records: [record('a', [-61, 29])] }] as const)
  const text = metricsOf(some).text()
  t.equal(metricsOf([...some].reverse()).text(), text)
  t.strictSame(
    readExposition(text)
      .get('acme_oss_pending_steps')
      ?.map(({ labels }) => labels['name']),
    ['a.example.com', 'b.example.com', 'c.example.com'],
  )
})

t.test('nothing is known', async (t) => {
  t.strictSame([...readExposition(metricsOf([]).text())], [['acme_oss_names', [{ labels: {}, value: 0 }]]])
  const forgotten = metricsOf([[{ records: [record('a', [-1, 89], { archive: over('forgotten') })] }]])
  t.strictSame([...readExposition(forgotten.text()).keys()], ['acme_oss_names', 'acme_oss_pending_steps'])
})

t.test('is a renewal due?', async (t) => {
  const due = (some: Partial<NameFacts>): number | undefined =>
    readExposition(metricsOf([[some]]).text()).get('acme_oss_renewal_due')?.[0]?.value
  const renewed = { certificate: certificate('a', [-1, 89]), isRenewed: true }
  t.equal(due({ ...renewed, renewal: new Date(at(1)) }), 0)
  t.equal(due({ ...renewed, renewal: now }), 1)
  t.equal(
    due({ ...renewed, renewal: new Date(at(1)), certificate: certificate('a', [-1, 89], { revokedAt: at(-1) }) }),
    1,
  )
  t.equal(due({ failedRenewal: failedRenewal() }), 1, 'there is none yet')
  t.equal(due({ certificate: { ...certificate('a', [-1, 89]), forgotten: true } }), undefined)
})

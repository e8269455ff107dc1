import t from 'tap'
import {
  calledAlone,
  type DeploymentRecord,
  isDue,
  isInTurn,
  nextTry,
  type Pending,
  pendingOf,
  proofOf,
  type StepRecord,
  superseded,
  upcomingOf,
  withoutOtherWays,
} from '../../src/state/deployment-record.js'

const at = '2026-05-01T00:00:00.000Z'
const now = new Date(at)
const pending: StepRecord = { status: 'pending' }
const done: StepRecord = { status: 'done', at }
const failed: StepRecord = {
  status: 'failed',
  at,
  tries: 1,
  next: '2026-05-01T00:01:00.000Z',
  error: { code: 'CLOUD_REFUSED', message: 'no' },
}

type Steps = Readonly<Record<string, StepRecord>>

const recordOf = (targets: Readonly<Record<string, Steps>>, unresolved: DeploymentRecord['unresolved'] = null) =>
  ({
    schema: 1,
    name: 'example.com',
    names: ['example.com'],
    notBefore: '2026-04-01T00:00:00.000Z',
    notAfter: '2026-07-01T00:00:00.000Z',
    serial: '01',
    fingerprint: { sha1: 'a'.repeat(40), sha256: 'b'.repeat(64) },
    archive: '2026-04-01_aaaaaaaa',
    recordedAt: at,
    unresolved,
    targets: Object.fromEntries(
      Object.entries(targets).map(([identity, steps]) => {
        const [kind = '', ...place] = identity.split(' at ')[0]?.split(' ') ?? []
        const target = { kind, name: `${kind} ${place.join(' ')}`, settings: {}, steps }
        return [identity, kind === 'exec' ? { ...target, afterOthers: true as const } : target]
      }),
    ),
  }) satisfies DeploymentRecord

const told = (all: readonly Pending[]): string[] => all.map(({ identity, step }) => `${identity}: ${step}`)

t.test('whose turn it is', async (t) => {
  t.same(
    told(upcomingOf(recordOf({ 'oss b': { archive: failed, latest: pending }, 'cdn a': { bind: pending } }))),
    ['oss b: archive', 'cdn a: bind'],
    'of each target the first',
  )
  t.same(told(upcomingOf(recordOf({ 'oss b': { archive: done, latest: pending } }))), ['oss b: latest'])
  t.same(
    told(
      upcomingOf(
        recordOf({
          'cdn auto': {
            find: done,
            'bind a.example.com': failed,
            'served a.example.com': pending,
            'bind b.example.com': done,
            'served b.example.com': pending,
            'bind c.example.com': pending,
            'served c.example.com': pending,
          },
        }),
      ),
    ),
    ['cdn auto: bind a.example.com', 'cdn auto: served b.example.com', 'cdn auto: bind c.example.com'],
    'of each place that was found the first',
  )
  t.same(told(upcomingOf(recordOf({ 'cdn auto': { find: failed } }))), ['cdn auto: find'])
  t.same(told(upcomingOf(recordOf({ 'cdn a': { bind: done } }))), [])
  for (const status of ['superseded', 'forgotten', 'expired'] as const) {
    const closed = status === 'superseded' ? { status, at, by: 'c' } : { status, at }
    t.same(told(upcomingOf(recordOf({ 'cdn a': { bind: closed } }))), [], status)
  }
  const { status: _, ...failure } = failed
  t.same(told(upcomingOf(recordOf({ 'oss b': { latest: pending } }, failure))), [
    'oss b: latest',
    'undefined: undefined',
  ])
})

t.test('what comes after all others', async (t) => {
  const exec = { 'exec nginx': { run: pending } }
  t.same(told(upcomingOf(recordOf({ ...exec, 'oss b': { latest: pending } }))), ['oss b: latest'])
  t.same(told(upcomingOf(recordOf({ ...exec, 'oss b': { latest: done } }))), ['exec nginx: run'])
  const { status: _, ...failure } = failed
  t.same(told(upcomingOf(recordOf({ ...exec }, failure))), ['undefined: undefined'], 'nobody knows after which')

  const older = { 'oss b': { latest: done }, 'cdn a': { bind: done }, 'exec nginx': { run: failed } }
  const left = (by: Readonly<Record<string, Steps>>): string[] => {
    const newer: DeploymentRecord = {
      ...recordOf(by),
      notBefore: '2026-04-20T00:00:00.000Z',
      notAfter: '2026-07-20T00:00:00.000Z',
      fingerprint: { sha1: 'c'.repeat(40), sha256: 'c'.repeat(64) },
    }
    return told(pendingOf(superseded(recordOf(older), newer, now)))
  }
  t.same(left({ 'oss b': { latest: pending } }), ['exec nginx: run'], 'the older one is still in use at CDN')
  t.same(left({ 'oss b': { latest: pending }, 'cdn a': { bind: failed } }), [], 'in use nowhere')
  const both = { 'oss c': { latest: done }, 'exec nginx': { run: done } }
  t.same(left(both), ['exec nginx: run'], 'for the newer one it is run after other places')
  t.same(left({ ...both, 'oss b': { latest: done }, 'cdn a': { bind: done } }), [])
})

t.test('what follows what', async (t) => {
  const one = (identity: string | undefined, step: string | undefined): Pending => ({
    target: identity,
    identity,
    step,
    next: undefined,
    error: undefined,
  })
  t.ok(isInTurn(one('oss b', 'archive'), one('oss b', 'latest')))
  t.notOk(isInTurn(one('oss b', 'archive'), one('oss c', 'latest')), 'of two targets')
  t.ok(isInTurn(one('cdn auto', 'bind a.example.com'), one('cdn auto', 'served a.example.com')))
  t.notOk(isInTurn(one('cdn auto', 'bind a.example.com'), one('cdn auto', 'bind b.example.com')), 'of two places')
  t.notOk(isInTurn(one('cdn auto', 'find'), one('cdn auto', 'bind a.example.com')))
  t.ok(isInTurn(one('cdn auto', 'bind .example.com'), one('cdn auto', 'served .example.com')))
  t.notOk(isInTurn(one('cdn auto', 'bind .example.com'), one('cdn auto', 'bind a.example.com')))
})

t.test('where a place is reached another way now', async (t) => {
  const record = recordOf({
    'cdn a.example.com at https://cdn.aliyuncs.com': { bind: failed, served: pending },
    'cdn a.example.com at http://127.0.0.1:1': { bind: done, served: pending },
    'cdn b.example.com at https://cdn.aliyuncs.com': { bind: pending },
    'dcdn a.example.com at https://dcdn.aliyuncs.com': { bind: pending },
  })
  const wanted = [{ identity: 'cdn a.example.com at http://127.0.0.1:1', name: 'cdn a.example.com' }]
  const left = withoutOtherWays(record, wanted, now)
  t.same(told(pendingOf(left)), [
    'cdn a.example.com at http://127.0.0.1:1: served',
    'cdn b.example.com at https://cdn.aliyuncs.com: bind',
    'dcdn a.example.com at https://dcdn.aliyuncs.com: bind',
  ])
  const closed = { status: 'superseded', at, by: 'b'.repeat(12) }
  t.same(left.targets['cdn a.example.com at https://cdn.aliyuncs.com']?.steps, { bind: closed, served: closed })
  t.same(
    left.targets['cdn a.example.com at http://127.0.0.1:1'],
    record.targets['cdn a.example.com at http://127.0.0.1:1'],
  )
  t.same(withoutOtherWays(record, [], now), record, 'nothing wanted takes nothing away')
  t.same(record.targets['cdn a.example.com at https://cdn.aliyuncs.com']?.steps, { bind: failed, served: pending })
})

t.test('a place by itself', async (t) => {
  for (const [target, place, alone] of [
    ['cdn auto', 'www.example.com', 'cdn www.example.com'],
    ['cdn auto at https://auto.example.com', '.example.com', 'cdn .example.com at https://auto.example.com'],
    ['oss-cname b/auto at https://x', 'a.example.com', 'oss-cname b/a.example.com at https://x'],
    ['oss-cname auto/auto', '$&.example.com', 'oss-cname auto/$&.example.com'],
    ['oss-cname auto/b.example.com', 'a.example.com', 'oss-cname auto/b.example.com'],
    ['cdn auto.example.com at https://x', 'auto.example.com', 'cdn auto.example.com at https://x'],
    ['cdn auto', undefined, 'cdn auto'],
  ] as const) {
    t.equal(calledAlone(target, place), alone, `${target}, ${place}`)
  }
})

t.test('a place that was named once and found once is the same', async (t) => {
  const auto = 'cdn auto at https://x'
  const named = 'cdn a.example.com at https://x'
  const bound = 'oss-cname b/auto at https://x'
  const boundNamed = 'oss-cname b/a.example.com at https://x'
  const steps = (name: string): Steps => ({ [`bind ${name}`]: failed, [`served ${name}`]: pending })
  const found: Steps = { find: done, ...steps('a.example.com'), ...steps('b.example.com') }
  const strand: Steps = { bind: failed, served: pending }
  const newer = (targets: Readonly<Record<string, Steps>>): DeploymentRecord => ({
    ...recordOf(targets),
    notBefore: '2026-04-20T00:00:00.000Z',
    notAfter: '2026-07-20T00:00:00.000Z',
    fingerprint: { sha1: 'c'.repeat(40), sha256: 'c'.repeat(64) },
  })
  const left = (older: Readonly<Record<string, Steps>>, by: Readonly<Record<string, Steps>>): string[] =>
    told(pendingOf(superseded(recordOf(older), newer(by), now)))
  const ofB = (target: string): string[] => [`${target}: bind b.example.com`, `${target}: served b.example.com`]
  const all = (target: string): string[] => told(pendingOf(recordOf({ [target]: found })))

  t.same(left({ [auto]: found }, { [named]: { bind: done } }), ofB(auto), 'found, then named')
  t.same(left({ [named]: strand }, { [auto]: { find: done, 'bind a.example.com': done } }), [], 'named, then found')
  t.same(left({ [bound]: found }, { [boundNamed]: strand }), ofB(bound))
  t.same(left({ [boundNamed]: strand }, { [bound]: found }), [])
  t.same(
    left({ [auto]: found }, { 'cdn a.example.com at https://y': strand }),
    ofB(auto),
    'reached through another endpoint',
  )
  t.same(left({ [auto]: { find: failed } }, { [named]: strand }), [`${auto}: find`], 'others are still to be found')
  t.same(left({ [auto]: found }, { [auto]: { find: failed } }), [], 'it will find them')

  t.same(
    left({ [named]: strand }, { [auto]: { find: failed } }),
    [`${named}: bind`, `${named}: served`],
    'not found yet',
  )
  t.same(left({ [auto]: found }, { 'dcdn a.example.com at https://x': strand }), all(auto), 'another product')
  t.same(left({ [bound]: found }, { 'oss-cname c/a.example.com at https://x': strand }), all(bound), 'another bucket')
  for (const status of ['forgotten', 'expired'] as const) {
    t.same(left({ [auto]: found }, { [named]: { bind: { status, at } } }), all(auto), status)
    t.same(
      left({ [named]: strand }, { [auto]: { find: done, 'bind a.example.com': { status, at } } }),
      [`${named}: bind`, `${named}: served`],
      status,
    )
  }
  const older = newer({ [auto]: found })
  t.equal(superseded(older, recordOf({ [named]: strand }), now), older, 'an older one takes nothing away')
})

t.test('what was done is proven by what the place gave', async (t) => {
  const proven = { ...done, proof: '12345-cn-hangzhou' }
  const record = recordOf({
    'oss-cname b/a': { bind: proven },
    'oss-cname b/c': { bind: { ...failed, proof: '6-cn-hangzhou' }, served: pending },
    'oss-cname b/d': { bind: { status: 'superseded', at, by: 'c' } },
  })
  t.equal(proofOf(record, 'oss-cname b/a', 'bind'), '12345-cn-hangzhou')
  t.equal(proofOf(record, 'oss-cname b/c', 'bind'), '6-cn-hangzhou', 'it may still be there')
  for (const [identity, step] of [
    ['oss-cname b/c', 'served'],
    ['oss-cname b/d', 'bind'],
    ['oss-cname b/a', 'archive'],
    ['oss-cname b/x', 'bind'],
  ] as const) {
    t.equal(proofOf(record, identity, step), undefined, `${identity}: ${step}`)
  }
  t.equal(proofOf(undefined, 'oss-cname b/a', 'bind'), undefined)
  const strange = { bind: { ...done, proof: 7 } } as unknown as Steps
  t.equal(proofOf(recordOf({ 'oss-cname b/a': strange }), 'oss-cname b/a', 'bind'), undefined, 'another hand wrote it')
})

t.test('when it is tried again', async (t) => {
  const minutes = (tries: number, passing: boolean): number =>
    (nextTry(tries, passing, now).getTime() - now.getTime()) / 60_000
  t.same(
    [1, 2, 3, 4, 8, 9, 10, 100].map((tries) => minutes(tries, true)),
    [1, 2, 4, 8, 128, 256, 360, 360],
  )
  t.same(
    [1, 2, 50].map((tries) => minutes(tries, false)),
    [1440, 1440, 1440],
  )
  const due = (ms: number): boolean => isDue({ next: new Date(now.getTime() + ms).toISOString() }, now)
  t.ok(isDue({ next: undefined }, now))
  t.ok(due(0) && due(-1) && !due(1) && !due(24 * 3_600_000))
  t.ok(due(24 * 3_600_000 + 1), 'further off than any pause: the clock was wrong')
})
